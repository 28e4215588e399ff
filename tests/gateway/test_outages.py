"""What callers are told while something behind the gateway is down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway.bootstrap import bootstrap
from gateway.main import create_app
from tests.gateway.support import (
    SERVICES,
    FakeService,
    Platform,
    Seen,
    serving,
    settings,
    unused_url,
)
from tests.support.app import running
from tests.support.postgres import Database, DatabaseServer

pytestmark = pytest.mark.anyio

EVENT = {"event": "Tried", "userId": "u1"}


@asynccontextmanager
async def _gateway(dsn: str, **urls: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A gateway whose services are all down, but for those given."""
    every = {name: urls.get(name.replace("-", "_"), unused_url()) for name in SERVICES}
    async with running(create_app(settings(dsn, every))) as client:
        yield client


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql+asyncpg://gateway_app@127.0.0.1:1/gateway",
        "postgresql+asyncpg://gateway_app@/gateway?host=/nonexistent",
    ],
)
async def test_a_key_that_cannot_be_checked_is_503_and_never_401(
    platform: Platform, dsn: str
) -> None:
    async with _gateway(dsn) as client:
        events = await client.post("/v1/batch", json=EVENT, auth=(platform.write_key, ""))
        call = await client.get("/api/v1/profiles", headers=platform.admin)
        own = await client.get("/api/v1/keys", headers=platform.admin)
        ready = await client.get("/readyz")
        alive = await client.get("/livez")
    assert events.json()["code"] == "unavailable"
    for response in (events, call, own):
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"].startswith("not answering")
    assert alive.status_code == 200


async def test_a_database_that_is_gone_is_503(postgres: DatabaseServer) -> None:
    database = postgres.create("gateway")
    made = await bootstrap(database.app_dsn, "Gone")
    async with _gateway(database.app_dsn) as client:
        postgres.drop(database)
        response = await client.post("/v1/track", json=EVENT, auth=(made["write_key"], ""))
    assert response.status_code == 503, response.text


async def test_without_any_ingest_sdks_are_told_to_come_back(
    gateway_database: Database, platform: Platform
) -> None:
    async with _gateway(gateway_database.app_dsn) as client:
        response = await client.post("/v1/batch", json=EVENT, auth=(platform.write_key, ""))
        ready = await client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.json()["code"] == "unavailable"
    assert response.json()["message"]
    assert ready.status_code == 503
    assert ready.json()["checks"]["database"] == "ok"
    assert ready.json()["checks"]["tracking-ingest"].startswith("not answering")


async def test_events_are_taken_while_everything_but_ingest_is_down(
    gateway_database: Database, platform: Platform
) -> None:
    async with (
        serving(FakeService(), lifespan=False) as ingest,
        _gateway(gateway_database.app_dsn, tracking_ingest=ingest) as client,
    ):
        event = await client.post("/v1/batch", json=EVENT, auth=(platform.write_key, ""))
        ready = await client.get("/readyz")
        call = await client.get("/api/v1/journeys", headers=platform.admin)
    assert event.status_code == 200
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["checks"]["profile"].startswith("not answering")
    assert call.status_code == 503
    assert call.headers["content-type"] == "application/problem+json"
    assert call.json()["service"] == "orchestrator"
    assert int(call.headers["retry-after"]) >= 1


async def test_all_there_is_ready(platform: Platform) -> None:
    response = await platform.client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "checks": {
            "database": "ok",
            "tracking-ingest": "ok",
            "tracking": "ok",
            "profile": "ok",
            "orchestrator": "ok",
            "assessment": "ok",
        },
    }


async def test_ingest_processes_share_the_load_and_stand_in_for_each_other(
    gateway_database: Database, platform: Platform
) -> None:
    first, second = FakeService(), FakeService()
    async with (
        serving(first, lifespan=False) as one,
        serving(second, lifespan=False) as two,
        _gateway(
            gateway_database.app_dsn, tracking_ingest=f"{one}, {unused_url()},{two}/"
        ) as client,
    ):
        for _ in range(12):
            response = await client.post("/v1/batch", json=EVENT, auth=(platform.write_key, ""))
            assert response.status_code == 200
    assert len(first.seen) + len(second.seen) == 12
    assert min(len(first.seen), len(second.seen)) >= 4


@asynccontextmanager
async def _losing_connections(lost: int) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that reads requests and hangs up on the first ``lost`` of them."""
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if len(seen) > lost:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


@pytest.mark.parametrize(
    ("method", "path", "status", "times"),
    [
        ("GET", "/api/v1/journeys", 200, 2),
        # It may have been done: only its sender knows whether doing it twice is right.
        ("POST", "/api/v1/journeys", 503, 1),
        # Events carry ids, so twice is once.
        ("POST", "/v1/batch", 200, 2),
    ],
)
async def test_a_connection_lost_before_the_answer_is_tried_again_where_that_is_safe(
    gateway_database: Database, platform: Platform, method: str, path: str, status: int, times: int
) -> None:
    async with (
        _losing_connections(1) as (url, seen),
        _gateway(gateway_database.app_dsn, orchestrator=url, tracking_ingest=url) as client,
    ):
        key = platform.secret_key if "/api/" in path else platform.write_key
        headers = {"Authorization": f"Bearer {key}"}
        content = b"{}" if method == "POST" else b""
        response = await client.request(method, path, headers=headers, content=content)
    assert (response.status_code, len(seen)) == (status, times)


async def test_a_service_that_stays_silent_is_given_up(
    gateway_database: Database, platform: Platform
) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        assert (await receive())["type"] == "http.disconnect"

    async with serving(FakeService(answer=silent), lifespan=False) as url:
        urls = dict.fromkeys(SERVICES, url)
        impatient = settings(gateway_database.app_dsn, urls, upstream_read_timeout_seconds=0.2)
        async with running(create_app(impatient)) as client:
            response = await client.get("/api/v1/maps", headers=platform.admin)
    assert (response.status_code, response.json()["service"]) == (503, "orchestrator")
