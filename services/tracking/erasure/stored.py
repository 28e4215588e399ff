"""A person's rows in ClickHouse: found, hidden, removed from the files, and looked for again.

Deletions are mutations that ClickHouse carries out in the background, so that nothing here holds
up the loader; ``busy`` tells when they are done.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.kit.clickhouse import ClickHouse

EVENTS = "events"
IDENTITY = "identity_map"

# Whatever holds rows of people holds their subject, target tables of materialised views too.
_TABLES = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name IN (
  SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'subject_id')
ORDER BY name
"""
_COUNT = """
SELECT count() FROM {table:Identifier}
WHERE workspace_id = {workspace_id:UUID} AND subject_id IN {subjects:Array(UUID)}
"""
_DELETE = """
DELETE FROM {table:Identifier}
WHERE workspace_id = {workspace_id:UUID} AND subject_id IN {subjects:Array(UUID)}
"""
_PLACES = """
SELECT DISTINCT type = 'outcome', log_offset FROM events
WHERE workspace_id = {workspace_id:UUID} AND subject_id IN {subjects:Array(UUID)}
"""
_IDENTIFIERS = """
SELECT DISTINCT arrayJoin([user_id, anonymous_id, email, phone, previous_id]) AS value FROM events
WHERE workspace_id = {workspace_id:UUID} AND subject_id IN {subjects:Array(UUID)} AND value != ''
"""
_MENTIONS = """
SELECT count(), countIf(subject_id IN {subjects:Array(UUID)}),
  countIf(subject_id NOT IN {subjects:Array(UUID)} AND (
    hasAny([user_id, anonymous_id, email, phone, previous_id], {identifiers:Array(String)})
    OR arrayExists(text -> multiSearchAny(text, {needles:Array(String)}),
                   [properties, traits, context])))
FROM events WHERE workspace_id = {workspace_id:UUID}
"""
_BUSY = """
SELECT count() FROM system.mutations
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT is_done
"""
_OLD_PARTS = """
SELECT count() FROM system.parts
WHERE database = currentDatabase() AND table IN {tables:Array(String)} AND NOT active
  AND remove_time <= {since:DateTime('UTC')}
"""
# Rows that are hidden already are found too; values must not end up in a server's own logs.
_EVEN_DELETED = {"apply_deleted_mask": 0, "log_queries": 0, "max_execution_time": 4 * 3600}
_QUIETLY = {"lightweight_deletes_sync": 0, "mutations_sync": 0, "log_queries": 0}
MAX_NEEDLES = 255
"""What ``multiSearchAny`` takes."""
_SHORT = 6


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


async def tables(clickhouse: ClickHouse) -> list[str]:
    return [name for (name,) in await clickhouse.query(_TABLES)]


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
    clickhouse: ClickHouse, table: str, workspace_id: UUID, subjects: Collection[UUID]
) -> None:
    """Begins a lightweight delete. ``table`` is one of ``tables``."""
    values = {"table": table, "workspace_id": workspace_id, "subjects": list(subjects)}
    await clickhouse.command(_DELETE, values, _QUIETLY)


async def purge(clickhouse: ClickHouse, table: str) -> None:
    """Begins to write anew the parts that hold hidden rows, without them."""
    await clickhouse.command(f"ALTER TABLE `{table}` APPLY DELETED MASK", settings=_QUIETLY)


async def busy(clickhouse: ClickHouse, names: Collection[str]) -> bool:
    """Whether mutations of these tables are going on."""
    return bool((await clickhouse.query(_BUSY, {"tables": list(names)}))[0][0])


async def clock(clickhouse: ClickHouse) -> datetime:
    now: datetime = (await clickhouse.query("SELECT now('UTC')"))[0][0]
    return now


async def old_parts(clickhouse: ClickHouse, names: Collection[str], since: datetime) -> bool:
    """Whether files are left of parts that were replaced at ``since`` or before."""
    rows = await clickhouse.query(_OLD_PARTS, {"tables": list(names), "since": since})
    return bool(rows[0][0])


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
