"""Erasures that need not wait for files which ClickHouse keeps for a while."""

import pytest

from services.kit.clickhouse import ClickHouse
from tests.tracking.erasure.world import World
from tests.tracking.service import Running


@pytest.fixture
async def world(both: Running) -> World:
    clickhouse = await ClickHouse.open(both.tracking.clickhouse_dsn, readers=0)
    for table in ("events", "identity_map"):
        await clickhouse.command(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 1")
    await clickhouse.close()
    return World(both)
