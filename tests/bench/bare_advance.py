"""The floor below the engine: claim, update and outbox as three plain statements a block.

The same rows in copies of the same tables with the same keys and indexes, without row-level
security, steps, counts and decisions; outcomes of the size that the engine's had.
"""

import os
import time

import asyncpg

_ADVANCE = """
WITH due AS (
    SELECT id FROM bare_participant WHERE workspace_id = $1 AND run_at <= $2
    ORDER BY run_at LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE bare_participant p SET fence = fence + 1, state = 'waiting', node = 'second',
    visit = visit + 2, arrived_at = $2, due_at = $2 + interval '30 days',
    run_at = $2 + interval '30 days'
FROM due WHERE p.id = due.id RETURNING p.id
"""


async def stage(database: asyncpg.Connection) -> None:
    """Copies of the tables as they are now; before the engine has moved anybody."""
    for table in ("participant", "outbox"):
        await database.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
    await database.execute("INSERT INTO bare_participant SELECT * FROM participant")
    await database.execute("VACUUM ANALYZE bare_participant")


async def advance(
    database: asyncpg.Connection, workspace_id: object, now: object, block: int, bytes_each: float
) -> tuple[int, float]:
    """How many were advanced, and the seconds that took."""
    advanced, began = 0, time.perf_counter()
    while True:
        async with database.transaction():
            rows = await database.fetch(_ADVANCE, workspace_id, now, block)
            if not rows:
                return advanced, time.perf_counter() - began
            await database.execute(
                "INSERT INTO bare_outbox (workspace_id, count, data) VALUES ($1, $2, $3)",
                workspace_id,
                2 * len(rows),
                os.urandom(int(bytes_each * len(rows))),
            )
        advanced += len(rows)
