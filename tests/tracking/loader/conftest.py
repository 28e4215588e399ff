"""A pipeline on stores of the test's own."""

from collections.abc import AsyncIterator

import pytest

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
    async with tracking.log() as (maker, log):
        yield Pipeline(tracking, clickhouse, maker, log)
    await clickhouse.close()
