"""The floor below profile's writing: the same rows, folded already, upserted by plain SQL.

What a run wrote is read off PostgreSQL's own counters: so many rows inserted or updated per table.
As many rows of the same tables, as the run left them, go in as many blocks into copies of these
tables with the same keys and indexes, but without triggers, policies and decisions.
"""

from collections.abc import Mapping

import asyncpg

_COUNTERS = """
SELECT relname, n_tup_ins + n_tup_upd AS written FROM pg_stat_user_tables
WHERE schemaname = 'public'
"""
_KEY = """
SELECT array_agg(a.attname ORDER BY k.place) FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = CAST($1 AS regclass) AND i.indisprimary
"""
_COLUMNS = """
SELECT array_agg(attname ORDER BY attnum) FROM pg_attribute
WHERE attrelid = CAST($1 AS regclass) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
# Rows in an order that has nothing to do with where they lie, dealt to blocks one after another;
# a row comes again only after all others came, so never twice within a block.
_STAGE = """
CREATE TABLE staged_{table} AS
WITH dealt AS (SELECT t.*, row_number() OVER (ORDER BY random()) - 1 AS place FROM {table} t),
     round AS (SELECT generate_series(0, ($1 - 1) / greatest(1, (SELECT count(*) FROM dealt))) AS n)
SELECT d.*, (r.n * (SELECT count(*) FROM dealt) + d.place) * $2 / $1 AS block
FROM dealt d CROSS JOIN round r WHERE r.n * (SELECT count(*) FROM dealt) + d.place < $1
"""


async def written(database: asyncpg.Connection) -> dict[str, int]:
    """Rows inserted or updated so far, by table."""
    await database.execute("SELECT pg_stat_force_next_flush()")
    return {row["relname"]: row["written"] for row in await database.fetch(_COUNTERS)}


async def stage(database: asyncpg.Connection, rows: Mapping[str, int], blocks: int) -> None:
    """Prepare what ``upsert`` writes: of each table so many rows, in so many blocks."""
    for table, count in rows.items():
        await database.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
        await database.execute(
            _STAGE.format(table=table).replace("$1", str(count)).replace("$2", str(blocks))
        )
        await database.execute(f"CREATE INDEX ON staged_{table} (block)")
        await database.execute(f"ANALYZE staged_{table}")


async def upsert(database: asyncpg.Connection, rows: Mapping[str, int], blocks: int) -> None:
    """Write everything staged, a transaction per block."""
    statements = [await _statement(database, table) for table in rows]
    for block in range(blocks):
        async with database.transaction():
            for statement in statements:
                await database.execute(statement, block)


async def _statement(database: asyncpg.Connection, table: str) -> str:
    columns = await database.fetchval(_COLUMNS, table)
    key = await database.fetchval(_KEY, table)
    names = ", ".join(f'"{name}"' for name in columns)
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    action = f"UPDATE SET {sets}" if sets else "NOTHING"
    return (
        f"INSERT INTO bare_{table} ({names}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - catalogue
        f"SELECT {names} FROM staged_{table} WHERE block = $1 "
        f"ON CONFLICT ({', '.join(key)}) DO {action}"
    )
