"""Erasures that need not wait for files which ClickHouse keeps for a while."""

import pytest

from tests.tracking.erasure.world import World
from tests.tracking.service import Running


@pytest.fixture
async def world(both: Running, stored_events: str) -> World:
    clickhouse = await both.tracking.open_clickhouse()
    soon = "old_parts_lifetime = 1, cleanup_delay_period = 1, max_cleanup_delay_period = 1"
    for table in (stored_events, "identity_map"):
        await clickhouse.command(f"ALTER TABLE {table} MODIFY SETTING {soon}")
    await clickhouse.close()
    return World(both)
