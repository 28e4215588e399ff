"""Wires tracking in the role its settings give it: ``ingest`` accepts, ``store`` keeps and answers.

Run: ``TRACKING_ROLE=ingest uvicorn services.tracking.main:create_app --factory``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request

from services.kit import app as kit_app
from services.kit import postgres
from services.kit.auth import TokenSigner
from services.kit.feeds import Bell, FeedClient
from services.kit.garbage import spare_collections
from services.kit.http import ServiceClient
from services.kit.workers import Wake, Workers
from services.tracking.aggregates import routes as aggregates
from services.tracking.analytics import routes as analytics
from services.tracking.archive.archive import Archive
from services.tracking.behaviour import routes as behaviour
from services.tracking.clickhouse import migrate
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.erasure import routes as erasure
from services.tracking.erasure.seal import Seal
from services.tracking.erasure.steps import Resources
from services.tracking.erasure.worker import Eraser
from services.tracking.events import routes as events
from services.tracking.evidence import routes as evidence
from services.tracking.exports import routes as exports
from services.tracking.exports.service import Exports
from services.tracking.identity.worker import Erasures, IdentityFollower
from services.tracking.identity_policy import routes as identity_policy
from services.tracking.identity_policy.cache import Policies
from services.tracking.ingest import posthog_events, said
from services.tracking.ingest import routes as ingest
from services.tracking.lease import StoreLease
from services.tracking.loader.block import table
from services.tracking.loader.worker import Loader
from services.tracking.log import adapters
from services.tracking.log import routes as log_routes
from services.tracking.log.readers import Readers
from services.tracking.log.retention import Limits, Retention
from services.tracking.plans import routes as plans_routes
from services.tracking.plans import traffic_routes as plans_traffic
from services.tracking.plans.cache import Plans
from services.tracking.quarantine import routes as quarantine
from services.tracking.retention import routes as retention
from services.tracking.retention.worker import Expiry
from services.tracking.sequencer.ids import SeenIds
from services.tracking.sequencer.worker import Sequencer
from services.tracking.settings import TrackingSettings
from services.tracking.sources.follow import SourceSettings
from services.tracking.touchpoints import routes as touchpoints
from services.tracking.webhooks import endpoint as webhook_endpoint
from services.tracking.webhooks import routes as webhooks
from services.tracking.webhooks.cache import Webhooks

INGEST = """
Events in, by the paths the Segment SDKs call. An answer of 200 means durable: the event is in the
log. Bad events of a batch are set aside in quarantine with their reason; the others are accepted.
"""
STORE = "Queries on events: trends, funnels, search, timelines. People are counted after merges."

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[dict[str, Any]]]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def create_app(
    settings: TrackingSettings | None = None, now_ms: Callable[[], int] = _now_ms
) -> FastAPI:
    """``now_ms`` is the server's clock: what events are received at."""
    settings = settings or TrackingSettings()
    return _ingest(settings, now_ms) if settings.role == "ingest" else _store(settings)


def _ingest(settings: TrackingSettings, now_ms: Callable[[], int]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            engine = postgres.create_engine(settings)
            stack.push_async_callback(engine.dispose)
            appender = adapters.appender(settings)
            workers = Workers()
            stack.push_async_callback(workers.stop)
            workers.start("log", appender.run)
            maker = postgres.create_sessionmaker(engine)
            sources = SourceSettings(maker, workers)
            workers.start("sources", sources.run)
            spare_collections()
            yield {
                "sessionmaker": maker,
                "plans": Plans(maker, sources),
                "policies": Policies(maker, sources),
                "webhooks": Webhooks(maker, sources),
                "appender": appender,
                "log": adapters.log(settings, maker, stack),
                "now_ms": now_ms,
                "workers": workers,
            }

    app = _app(settings, "Tracking: ingestion", INGEST, lifespan, {})
    app.include_router(ingest.internal_router)
    app.include_router(said.internal_router)
    ingest.install(app)
    posthog_events.install(app)
    webhook_endpoint.install(app)
    return app


def _store(settings: TrackingSettings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            yield await _start_store(settings, stack)

    app = _app(settings, "Tracking", STORE, lifespan, {"clickhouse": _clickhouse})
    public = (
        *(log_routes, analytics, events, exports, plans_traffic, plans_routes),
        *(identity_policy, quarantine, retention, touchpoints, webhooks),
    )
    for routes in public:
        app.include_router(routes.router)
    internals = (
        *(aggregates, analytics, behaviour, events, erasure, evidence),
        *(exports, identity_policy, log_routes),
    )
    for internal in internals:
        app.include_router(internal.internal_router)
    return app


async def _start_store(settings: TrackingSettings, stack: AsyncExitStack) -> dict[str, Any]:
    if settings.clickhouse_dsn is None:
        raise ValueError("TRACKING_CLICKHOUSE_DSN is needed for the role store")
    if settings.seen_ids_dir is None:
        raise ValueError("TRACKING_SEEN_IDS_DIR is needed for the role store")
    if settings.erasure_key is None:
        raise ValueError("TRACKING_ERASURE_KEY is needed for the role store")
    appended, sequenced, erase = Wake(), Wake(), Wake()
    seal = Seal(settings.erasure_key.get_secret_value())
    lease = StoreLease(settings.postgres_dsn.get_secret_value())
    # First: an embedded ClickHouse must be closed by the old store before it opens here.
    await lease.acquire()
    stack.push_async_callback(lease.release)
    read_dsn = settings.clickhouse_read_dsn
    cluster = Cluster(settings.clickhouse_cluster) if settings.clickhouse_cluster else None
    clickhouse = await migrate.open_clickhouse(
        settings.clickhouse_dsn.get_secret_value(),
        cluster,
        read_dsn=read_dsn.get_secret_value() if read_dsn else None,
    )
    stack.push_async_callback(clickhouse.close)
    # Arrow's first table takes a second (it loads its kernels): not at the cost of an event.
    await asyncio.to_thread(table, UUID(int=0), "", [])
    engine = postgres.create_engine(settings)
    stack.push_async_callback(engine.dispose)
    maker = postgres.create_sessionmaker(engine)
    signer = TokenSigner("tracking", settings.signing_key.get_secret_value())
    bell, workers = Bell(), Workers()
    ids = await asyncio.to_thread(SeenIds, settings.seen_ids_dir)
    stack.push_async_callback(asyncio.to_thread, ids.close)
    events_log, appender = adapters.log(settings, maker, stack), adapters.appender(settings)
    sequencer = Sequencer(maker, events_log, ids, bell, appended, sequenced.ring, seal)
    readers = Readers(maker, settings.log_readers)
    keep = settings.log_keep_days
    limits = Limits(None if keep is None else timedelta(days=keep), settings.log_max_bytes)
    loader = Loader(maker, events_log, clickhouse, sequenced, workers)
    profile = None
    if settings.profile_url:
        profile = ServiceClient("profile", settings.profile_url, signer)
        stack.push_async_callback(profile.close)
        feed = FeedClient(profile, "/internal/v1/feed")
        erasures = Erasures(seal, erase.ring)
        follower = IdentityFollower(maker, clickhouse, feed, workers, erasures)
        workers.start("identity", follower.run)
    resources = Resources(maker, clickhouse, seal, events_log, cluster)
    _start_removing(settings, resources, erase, workers)
    workers.start("lease", lease.run)
    workers.start("appender", appender.run)
    workers.start("log", lambda: events_log.watch(appended.ring))
    workers.start("sequencer", sequencer.run)
    workers.start("loader", loader.run)
    workers.start("readers", readers.run)
    workers.start("retention", Retention(maker, events_log, readers, ids, limits).run)
    spare_collections()
    # Last in, first out: workers end before what they use is closed.
    stack.push_async_callback(workers.stop)
    return {
        "sessionmaker": maker,
        "archive": Archive(clickhouse),
        "clickhouse": clickhouse,
        "log": events_log,
        "appender": appender,
        "erase": erase,
        "exports": Exports(clickhouse),
        "seal": seal,
        "signer": signer,
        "bell": bell,
        "profile": profile,
        "readers": readers,
        "workers": workers,
    }


def _start_removing(
    settings: TrackingSettings, resources: Resources, erase: Wake, workers: Workers
) -> None:
    """What takes events away: erasures of people, and retention by class and by age."""
    eraser = Eraser(resources, erase, workers, settings.erasure_rest_minutes * 60)
    workers.start("erasures", eraser.run)
    days = settings.quarantine_keep_days
    age = None if days is None else timedelta(days=days)
    expiry = Expiry(resources.maker, resources.clickhouse, age, cluster=resources.cluster)
    workers.start("expiry", expiry.run)


def _app(
    settings: TrackingSettings,
    title: str,
    description: str,
    lifespan: Lifespan,
    checks: dict[str, kit_app.Check],
) -> kit_app.ServiceApp:
    return kit_app.create_app(
        "tracking",
        settings,
        title=title,
        description=description,
        lifespan=lifespan,
        checks={"postgres": _postgres, "workers": _workers, **checks},
    )


async def _postgres(request: Request) -> None:
    await postgres.ping(request.state.sessionmaker)


async def _workers(request: Request) -> None:
    request.state.workers.check()


async def _clickhouse(request: Request) -> None:
    await request.state.clickhouse.ping()
