"""Tracking's two roles as apps on a database and a ClickHouse of the test's own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.clickhouse.migrate import open_clickhouse
from tests.support.clickhouse import ClickHouseServer
from tests.support.kafka import Brokers
from tests.support.postgres import NewDatabase
from tests.tracking.service import POSTGRES, Running, Tracking


@pytest.fixture
async def clickhouse_dsn(
    request: pytest.FixtureRequest, clickhouse_kind: str, clickhouse_database: str
) -> str:
    """An empty ClickHouse database, embedded or behind HTTP."""
    if clickhouse_kind != "chdb":
        server: ClickHouseServer = request.getfixturevalue("clickhouse_server")
        root, dsn = server.dsn("default"), server.dsn(clickhouse_database)
    else:
        root = f"chdb://{request.getfixturevalue('chdb_path')}"
        dsn = f"{root}?database={clickhouse_database}"
    clickhouse = await ClickHouse.open(root, readers=0)
    await clickhouse.command(f"CREATE DATABASE {clickhouse_database}")
    await clickhouse.close()
    return dsn


@pytest.fixture
async def events_table(
    clickhouse_dsn: str, clickhouse_cluster: Cluster | None
) -> AsyncIterator[ClickHouse]:
    """ClickHouse with tracking's schema and no rows."""
    clickhouse = await open_clickhouse(clickhouse_dsn, clickhouse_cluster)
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
    database: NewDatabase,
    clickhouse_dsn: str,
    clickhouse_cluster: Cluster | None,
    tmp_path: Path,
    log_dsn: str | None,
) -> Tracking:
    return Tracking(
        database("tracking"),
        clickhouse_dsn,
        clickhouse_cluster.name if clickhouse_cluster else None,
        seen_ids_dir=tmp_path / "seen-ids",
        log_dsn=log_dsn,
    )


@pytest.fixture
async def both(tracking: Tracking) -> AsyncIterator[Running]:
    """Both roles running."""
    async with AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(tracking.ingest())
        store = await stack.enter_async_context(tracking.store())
        yield Running(ingest, store, tracking)
