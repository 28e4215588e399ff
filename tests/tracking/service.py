"""Tracking's two roles for tests, and ways to look at what they stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.events import Event
from services.kit.clickhouse import ClickHouse
from services.kit.feeds import FeedPage, FeedRow, decode_page, unpack
from services.kit.postgres import SessionMaker, create_sessionmaker
from services.kit.workers import Workers
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.log import adapters
from services.tracking.log.port import Log, LogAppender
from services.tracking.main import create_app
from services.tracking.settings import TrackingSettings
from tests.support.app import running, service_headers, signing_key, trusted_keys, user_headers
from tests.support.postgres import Database

T = TypeVar("T")

POSTGRES, KAFKA = "postgres", "kafka"
each_log = pytest.mark.parametrize("log_dsn", [POSTGRES, KAFKA], indirect=True)
"""Runs a test once for each log there is behind the port."""
_BETWEEN_LOOKS_SECONDS = 0.02


@dataclass
class Tracking:
    """The service on its stores; each role can be started, stopped and started again."""

    database: Database
    clickhouse_dsn: str
    clickhouse_cluster: str | None = None
    workspace_id: UUID = field(default_factory=uuid4)
    profile_url: str | None = None
    seen_ids_dir: Path | None = None
    log_dsn: str | None = None

    def settings(self, role: str) -> TrackingSettings:
        return TrackingSettings.model_validate(
            {
                "role": role,
                "postgres_dsn": self.database.app_dsn,
                "clickhouse_dsn": self.clickhouse_dsn,
                "clickhouse_cluster": self.clickhouse_cluster,
                "seen_ids_dir": self.seen_ids_dir,
                "erasure_key": "a key of this test run",
                "erasure_rest_minutes": 0,
                "signing_key": signing_key("tracking"),
                "trusted_keys": trusted_keys(),
                "profile_url": self.profile_url,
                "log_dsn": self.log_dsn,
                "log_level": "ERROR",
            }
        )

    @asynccontextmanager
    async def ingest(
        self, source_id: str = "web", now_ms: Callable[[], int] | None = None
    ) -> AsyncIterator[httpx2.AsyncClient]:
        headers = user_headers(
            "tracking", self.workspace_id, scopes=("ingest",), source_id=source_id
        )
        settings = self.settings("ingest")
        app = create_app(settings, now_ms) if now_ms else create_app(settings)
        async with running(app, headers) as client:
            yield client

    @asynccontextmanager
    async def store(self) -> AsyncIterator[httpx2.AsyncClient]:
        headers = service_headers("profile", "tracking", self.workspace_id)
        async with running(create_app(self.settings("store")), headers) as client:
            yield client

    @asynccontextmanager
    async def log(self) -> AsyncIterator[tuple[SessionMaker, Log]]:
        """The database and the log as the store's workers have them."""
        engine = create_async_engine(self.database.app_dsn)
        maker = create_sessionmaker(engine)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            yield maker, adapters.log(self.settings("store"), maker, stack)

    @asynccontextmanager
    async def appender(self) -> AsyncIterator[LogAppender]:
        """An appender as each ingest process has one."""
        appender, workers = adapters.appender(self.settings("ingest")), Workers()
        workers.start("appender", appender.run)
        yield appender
        await workers.stop()

    async def sql(self, statement: str, **values: Any) -> list[Any]:
        """Rows as the workspace sees them, through the plain role."""
        engine = create_async_engine(self.database.app_dsn)
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT set_config('app.workspace_id', :w, true)"),
                {"w": str(self.workspace_id)},
            )
            rows = list(await connection.execute(text(statement), values))
        await engine.dispose()
        return rows

    async def quarantined(self) -> list[tuple[str, str]]:
        rows = await self.sql("SELECT reason, pointer FROM quarantine ORDER BY id")
        return [(reason, pointer) for reason, pointer in rows]

    async def logged(self) -> list[Event]:
        """Every event in the log, duplicates included."""
        return [event for row in await self.rows() for event in unpack(row.data, Event)]

    async def rows(self, partition: str | None = None) -> list[FeedRow]:
        """A partition of the log as it lies there; of events if none is named."""
        name = partition or str(self.workspace_id)
        async with self.log() as (_, log):
            end = (await log.ends()).get(name, 0)
            return await log.read(name, 0, end, rows=end, size=1 << 62) if end else []

    async def open_clickhouse(self, readers: int = 0) -> ClickHouse:
        """With the settings of its kind, as the service opens it."""
        cluster = Cluster(self.clickhouse_cluster) if self.clickhouse_cluster else None
        return await ClickHouse.open(
            self.clickhouse_dsn,
            readers=readers,
            write_settings=cluster.write_settings if cluster else None,
            read_settings=cluster.read_settings if cluster else None,
        )

    async def clickhouse(self, columns: str, tail: str = "") -> list[tuple[Any, ...]]:
        """Rows of the canonical view of this workspace."""
        clickhouse = await self.open_clickhouse(readers=1)
        try:
            return await clickhouse.query(
                f"SELECT {columns} FROM person_events(workspace_id={{workspace_id:UUID}}) {tail}",  # noqa: S608 - the test's own text
                {"workspace_id": self.workspace_id},
            )
        finally:
            await clickhouse.close()


@dataclass
class Running:
    ingest: httpx2.AsyncClient
    store: httpx2.AsyncClient
    tracking: Tracking

    async def read(self, after: int = 0, partition: str | None = None, wait: float = 5) -> FeedPage:
        """A page of the log as its readers get it."""
        params = {"partition": partition or str(self.tracking.workspace_id)}
        response = await self.store.get(
            "/internal/v1/log", params={**params, "after": after, "wait": wait}
        )
        assert response.status_code == 200, response.text
        return decode_page(response.content)

    async def loaded(self, count: int) -> None:
        """Waits until ClickHouse shows exactly ``count`` events."""

        async def look() -> bool:
            return await self.tracking.clickhouse("count()") == [(count,)]

        await eventually(look, what=f"{count} events in ClickHouse")


async def eventually(
    look: Callable[[], Awaitable[T]], *, within: float = 10, what: str = "the condition"
) -> T:
    """The first truthy value of ``look``."""
    deadline = time.monotonic() + within
    while True:
        seen = await look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)


def track(user: str = "u1", event: str = "Viewed", **fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": user, "event": event, **fields}
