"""Tracking's two roles as apps on a database and a ClickHouse of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse import migrate
from tests.support.kafka import Brokers
from tests.support.postgres import NewDatabase
from tests.tracking.service import POSTGRES, Running, Tracking


@pytest.fixture
async def clickhouse_dsn(chdb_path: str, clickhouse_database: str) -> str:
    """An empty ClickHouse database."""
    root = await ClickHouse.open(f"chdb://{chdb_path}", readers=0)
    await root.command(f"CREATE DATABASE {clickhouse_database}")
    await root.close()
    return f"chdb://{chdb_path}?database={clickhouse_database}"


@pytest.fixture
async def events_table(clickhouse_dsn: str) -> AsyncIterator[ClickHouse]:
    """ClickHouse with tracking's schema and no rows."""
    clickhouse = await ClickHouse.open(clickhouse_dsn)
    await migrate.upgrade(clickhouse)
    yield clickhouse
    await clickhouse.close()


@pytest.fixture
def log_dsn(request: pytest.FixtureRequest) -> str | None:
    """Of the log: PostgreSQL's (None) unless ``each_log`` asks for an empty one on Kafka."""
    kind = getattr(request, "param", POSTGRES)
    if kind == POSTGRES:
        return None
    brokers: Brokers = request.getfixturevalue("brokers")
    return brokers.dsn()


@pytest.fixture
def tracking(
    database: NewDatabase, clickhouse_dsn: str, tmp_path: Path, log_dsn: str | None
) -> Tracking:
    ids = tmp_path / "seen-ids"
    return Tracking(database("tracking"), clickhouse_dsn, seen_ids_dir=ids, log_dsn=log_dsn)


@pytest.fixture
async def both(tracking: Tracking) -> AsyncIterator[Running]:
    """Both roles running."""
    async with AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(tracking.ingest())
        store = await stack.enter_async_context(tracking.store())
        yield Running(ingest, store, tracking)
