"""Wires the gateway. Run: ``uvicorn gateway.main:create_app --factory``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypedDict

import httpx2
import prometheus_client
from fastapi import FastAPI, Request

from gateway.admission import Admission
from gateway.audit import routes as audit
from gateway.clients import routes as clients
from gateway.context import Context
from gateway.docs import routes as docs
from gateway.edge import Edge
from gateway.ingest_client import IngestClient
from gateway.keys import routes as keys
from gateway.keys.ring import KeyRing
from gateway.keys.store import look_up
from gateway.proxy import IDLE_SECONDS, Upstream
from gateway.settings import GatewaySettings
from gateway.sources import routes as sources
from gateway.workspaces import routes as workspaces
from services.kit import app as kit
from services.kit import connect, postgres
from services.kit.auth import TokenSigner
from services.kit.garbage import spare_collections

DESCRIPTION = "Keys, sources and the workspace; everything else under /api/v1 is passed on."


class State(TypedDict):
    sessionmaker: postgres.SessionMaker
    keys: KeyRing
    edge: Context


def create_app(settings: GatewaySettings | None = None) -> FastAPI:
    settings = settings or GatewaySettings()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        engine = postgres.create_engine(settings)
        maker = postgres.create_sessionmaker(engine)
        transport = _transport()
        if settings.metrics_port is not None:
            prometheus_client.start_http_server(settings.metrics_port, "127.0.0.1")
        ring = KeyRing(partial(look_up, maker))
        context = _context(settings, ring, transport)
        spare_collections()
        yield {"sessionmaker": maker, "keys": ring, "edge": context}
        context.ingest.close()
        await transport.aclose()
        await engine.dispose()

    app = kit.create_app(
        "gateway",
        settings,
        title="Gateway",
        description=DESCRIPTION,
        lifespan=lifespan,
        # Without these two no event can be taken; without the others only their own paths fail.
        checks={"database": _database, "tracking-ingest": _ingest},
        optional={
            name: partial(_service, name)
            for name in ("tracking", "profile", "orchestrator", "assessment")
        },
        # The merged document is served there.
        openapi_url=None,
    )
    for module in (keys, sources, workspaces, audit, clients, docs):
        app.include_router(module.router)
    app.put_in_front(Edge)
    return app


def _transport() -> httpx2.AsyncHTTPTransport:
    # The bare transport, not a client: a client keeps cookies, follows redirects, reads the
    # environment's proxies and costs twice the time.
    limits = httpx2.Limits(
        max_connections=1000, max_keepalive_connections=100, keepalive_expiry=IDLE_SECONDS
    )
    return connect.transport(limits)


def _context(
    settings: GatewaySettings, ring: KeyRing, transport: httpx2.AsyncHTTPTransport
) -> Context:
    def upstream(name: str, url: str) -> Upstream:
        read = settings.upstream_read_timeout_seconds
        return Upstream(name, _addresses(url), transport, read)

    ingest_urls = _addresses(settings.tracking_ingest_url)
    return Context(
        keys=ring,
        signer=TokenSigner("gateway", settings.signing_key.get_secret_value()),
        ingest=IngestClient("tracking-ingest", ingest_urls, settings.ingest_read_timeout_seconds),
        admission=Admission(len(ingest_urls)),
        services={
            "tracking": upstream("tracking", settings.tracking_store_url),
            "profile": upstream("profile", settings.profile_url),
            "orchestrator": upstream("orchestrator", settings.orchestrator_url),
            "assessment": upstream("assessment", settings.assessment_url),
        },
    )


def _addresses(urls: str) -> list[str]:
    return [url.strip().rstrip("/") for url in urls.split(",") if url.strip()]


async def _database(request: Request) -> None:
    await postgres.ping(request.state.sessionmaker)


async def _ingest(request: Request) -> None:
    context: Context = request.state.edge
    await context.ingest.ping()


async def _service(name: str, request: Request) -> None:
    context: Context = request.state.edge
    await context.services[name].ping()
