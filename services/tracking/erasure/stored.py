"""A person's rows in ClickHouse: found, hidden, removed from the files, and looked for again.

Deletions are mutations that ClickHouse carries out in the background, so that nothing here holds
up the loader; ``busy`` tells when they are done. On a cluster they go to the tables that hold the
rows, on every node; what is read is read of all shards.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse.cluster import Cluster, statements
from services.tracking.clickhouse.mutations import told

EVENTS = "events"
IDENTITY = "identity_map"

# Whatever holds rows of people holds their subject, target tables of materialised views too.
_TABLES = """
SELECT name, engine = 'Distributed' FROM system.tables
WHERE database = currentDatabase() AND (engine LIKE '%MergeTree' OR engine = 'Distributed')
  AND name IN (
    SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'subject_id')
ORDER BY name
"""
_THEIRS = "WHERE workspace_id = {workspace_id:UUID} AND subject_id IN {subjects:Array(UUID)}"
_COUNT = f"SELECT count() FROM {{table:Identifier}} {_THEIRS}"  # noqa: S608 - our own text
_PLACES = f"SELECT DISTINCT type = 'outcome', log_offset FROM events {_THEIRS}"  # noqa: S608
_IDENTIFIERS = f"""
SELECT DISTINCT arrayJoin(arrayConcat(
  [user_id, anonymous_id, email, phone, previous_id],
  arrayMap(named -> named.2, JSONExtract(identifiers, 'Array(Tuple(String, String))'))
)) AS value FROM events
{_THEIRS} AND value != ''
"""  # noqa: S608
_MENTIONS = """
SELECT count(), countIf(subject_id IN {subjects:Array(UUID)}),
  countIf(subject_id NOT IN {subjects:Array(UUID)} AND (
    hasAny([user_id, anonymous_id, email, phone, previous_id], {identifiers:Array(String)})
    OR arrayExists(text -> multiSearchAny(text, {needles:Array(String)}),
                   [properties, traits, context, identifiers])))
FROM events WHERE workspace_id = {workspace_id:UUID}
"""
# Rows that are hidden already are found too; values must not end up in a server's own logs.
_EVEN_DELETED = {"apply_deleted_mask": 0, "log_queries": 0, "max_execution_time": 4 * 3600}
_QUIETLY = {"lightweight_deletes_sync": 0, "mutations_sync": 0, "log_queries": 0}
MAX_NEEDLES = 255
"""What ``multiSearchAny`` takes."""
_SHORT = 6


@dataclass(frozen=True, slots=True)
class Table:
    """``name``: what it is asked by. ``stored``: what its rows lie in, on each node."""

    name: str
    stored: str


@dataclass(frozen=True, slots=True)
class Found:
    """``places``: (whether of outcomes, log offset)."""

    rows: int
    places: set[tuple[bool, int]]
    identifiers: list[str]


@dataclass(frozen=True, slots=True)
class Left:
    scanned: int
    rows: int
    mentions: int


async def tables(clickhouse: ClickHouse) -> list[Table]:
    """Those that hold rows of people, by name."""
    is_distributed: dict[str, bool] = dict(await clickhouse.query(_TABLES))
    asked = {f"{name}_local": name for name, distributed in is_distributed.items() if distributed}
    stored = [name for name, distributed in is_distributed.items() if not distributed]
    return sorted((Table(asked.get(each, each), each) for each in stored), key=lambda t: t.name)


async def find(clickhouse: ClickHouse, workspace_id: UUID, subjects: Collection[UUID]) -> Found:
    values = {"workspace_id": workspace_id, "subjects": list(subjects)}
    rows = await _rows(clickhouse, _COUNT, {**values, "table": EVENTS})
    places = await _rows(clickhouse, _PLACES, values)
    identifiers = await _rows(clickhouse, _IDENTIFIERS, values)
    return Found(
        rows[0][0],
        {(bool(outcome), offset) for outcome, offset in places},
        [value for (value,) in identifiers],
    )


async def hide(
    clickhouse: ClickHouse,
    cluster: Cluster | None,
    table: Table,
    workspace_id: UUID,
    subjects: Collection[UUID],
) -> None:
    """Begins a lightweight delete."""
    values = {"workspace_id": workspace_id, "subjects": list(subjects)}
    sql = f"DELETE FROM ${{everywhere:`{table.stored}`}} {_THEIRS}"  # noqa: S608
    for statement in statements(sql, cluster):
        await clickhouse.command(statement, values, _QUIETLY)


async def purge(clickhouse: ClickHouse, cluster: Cluster | None, table: Table) -> None:
    """Begins to write anew the parts that hold hidden rows, without them."""
    sql = f"ALTER TABLE ${{everywhere:`{table.stored}`}} APPLY DELETED MASK"
    for statement in statements(sql, cluster):
        await clickhouse.command(statement, settings=_QUIETLY)


async def clock(clickhouse: ClickHouse) -> datetime:
    now: datetime = (await clickhouse.query("SELECT now('UTC')"))[0][0]
    return now


async def old_parts(
    clickhouse: ClickHouse, cluster: Cluster | None, tables: Collection[Table], since: datetime
) -> bool:
    """Whether files are left, on any node, of parts that were replaced at ``since`` or before."""
    replaced = "NOT active AND remove_time <= {since:DateTime('UTC')}"
    names = [table.stored for table in tables]
    found = await told(clickhouse, cluster, "count()", "parts", replaced, names, since=since)
    return found != [(0,)]


async def left(
    clickhouse: ClickHouse,
    table: str,
    workspace_id: UUID,
    subjects: Collection[UUID],
    identifiers: Collection[str],
) -> Left:
    """Reads every row of the workspace, hidden ones too, for the person and their identifiers."""
    values = {
        "workspace_id": workspace_id,
        "subjects": list(subjects),
        "identifiers": list(identifiers),
        "needles": needles(identifiers)[:MAX_NEEDLES],
    }
    if table != EVENTS:
        [(rows,)] = await _rows(clickhouse, _COUNT, {**values, "table": table})
        return Left(rows, rows, 0)
    [(scanned, rows, mentions)] = await _rows(clickhouse, _MENTIONS, values)
    return Left(scanned, rows, mentions)


def needles(identifiers: Collection[str]) -> list[str]:
    """What identifiers look like inside JSON text: short ones only as whole strings, since a 7
    stands everywhere."""
    texts = [msgspec.json.encode(each).decode() for each in identifiers]
    return sorted(text if len(text) < _SHORT + 2 else text[1:-1] for text in texts)


async def _rows(clickhouse: ClickHouse, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        row
        async for columns in clickhouse.stream(sql, values, _EVEN_DELETED)
        for row in zip(*columns, strict=True)
    ]
