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
        # Its cleaner sleeps for as long as it was told when the table was made: half a minute.
        await clickhouse.command(f"DETACH TABLE {table} SYNC")
        await clickhouse.command(f"ATTACH TABLE {table}")
    await clickhouse.close()
    return World(both)
