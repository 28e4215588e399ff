"""A pipeline on stores of the test's own."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.postgres import create_sessionmaker
from services.tracking.clickhouse import migrate
from services.tracking.clickhouse.cluster import Cluster
from tests.tracking.loader.pipeline import Cut, Pipeline
from tests.tracking.service import Tracking


@pytest.fixture
async def pipeline(
    tracking: Tracking, clickhouse_cluster: Cluster | None
) -> AsyncIterator[Pipeline]:
    clickhouse = await Cut.open(
        tracking.clickhouse_dsn,
        write_settings=clickhouse_cluster.write_settings if clickhouse_cluster else None,
    )
    assert isinstance(clickhouse, Cut)
    await migrate.upgrade(clickhouse, clickhouse_cluster)
    engine = create_async_engine(tracking.database.app_dsn)
    yield Pipeline(tracking, clickhouse, create_sessionmaker(engine))
    await engine.dispose()
    await clickhouse.close()
