"""Reads events of the canonical view; each statement is a file next to this one."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

import pyarrow as pa

from services.contracts.tracking import EventScan, StoredEvent
from services.kit.clickhouse import ClickHouse
from services.rules import Leaf
from services.rules.compile_clickhouse import event_condition, leaf_state_columns

_SEARCH = files(__package__).joinpath("search.sql").read_text()
_TIMELINE = files(__package__).joinpath("timeline.sql").read_text()
_SCAN = files(__package__).joinpath("scan.sql").read_text()
_CANONICAL = files(__package__).joinpath("canonical.sql").read_text()

# Later than any time an event can carry.
FAR_FUTURE_MS = 4_102_444_800_000
Position = tuple[int, int, int]
"""(occurred_at in ms, log offset, index in the row): the total order of a partition's events."""

FIRST: Position = (-1, 0, 0)
LAST: Position = (FAR_FUTURE_MS, 0, 0)


async def search(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    *,
    event: str | None,
    since: datetime | None,
    until: datetime | None,
    before: Position,
    limit: int,
) -> list[tuple[Position, StoredEvent]]:
    """Events newest first, those before ``before`` only."""
    rows = await clickhouse.query(
        _SEARCH,
        {
            "workspace_id": workspace_id,
            "event": event or "",
            "since_ms": to_ms(since, -1),
            "until_ms": to_ms(until, FAR_FUTURE_MS),
            "before_ms": before[0],
            "before_offset": before[1],
            "before_index": before[2],
            "limit": limit,
        },
    )
    return [stored(row) for row in rows]


async def canonical(clickhouse: ClickHouse, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The profile that ``profile_id`` stands for after merges; itself when it was never merged."""
    rows = await clickhouse.query(
        _CANONICAL, {"workspace_id": workspace_id, "subject_id": profile_id}
    )
    found: UUID | None = rows[0][0] if rows else None
    return found or profile_id


async def timeline(
    clickhouse: ClickHouse, workspace_id: UUID, profile_id: UUID, before: Position, limit: int
) -> list[tuple[Position, StoredEvent]]:
    """Events of one canonical profile, newest first."""
    rows = await clickhouse.query(
        _TIMELINE,
        {
            "workspace_id": workspace_id,
            "profile_id": profile_id,
            "before_ms": before[0],
            "before_offset": before[1],
            "before_index": before[2],
            "limit": limit,
        },
    )
    return [stored(row) for row in rows]


async def scan(
    clickhouse: ClickHouse, workspace_id: UUID, query: EventScan, after: Position
) -> pa.Table:
    """At most ``query.limit`` events after ``after``, oldest first; columns of ``EventScan``."""
    return await clickhouse.arrow(
        _SCAN,
        {
            "workspace_id": workspace_id,
            "events": query.events,
            "since_ms": to_ms(query.since, -1),
            "until_ms": to_ms(query.until, FAR_FUTURE_MS),
            "after_ms": after[0],
            "after_offset": after[1],
            "after_index": after[2],
            "limit": query.limit,
        },
    )


async def leaf_states(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    leaf: Leaf,
    max_log_offset: int,
    subjects: Mapping[UUID, Sequence[UUID]] | None = None,
) -> pa.Table:
    """The state of ``leaf`` per person who did what it says, by id: columns of ``LeafQuery``.

    ``subjects``: of these profiles only, and by these subjects instead of the map of identities.
    """
    condition = event_condition(leaf)
    whose, among = "toString(profile_id)", ""
    binds: dict[str, object] = {}
    if subjects is not None:
        whose = "transform(toString(subject_id), {own:Array(String)}, {owners:Array(String)}, '')"
        among = "AND subject_id IN {subjects:Array(UUID)} "
        pairs = [(each, owner) for owner, own in subjects.items() for each in own]
        binds = {
            "own": [str(each) for each, _ in pairs],
            "owners": [str(owner) for _, owner in pairs],
            "subjects": [each for each, _ in pairs],
        }
    sql = (
        f"SELECT {{leaf_id:String}} AS leaf_id, {whose} AS owner, {leaf_state_columns(leaf)} "
        "FROM person_events(workspace_id={workspace_id:UUID}) "
        f"WHERE ({condition.sql}) {among}"
        "AND type != 'outcome' AND log_offset <= {max_offset:UInt64} "
        "GROUP BY owner ORDER BY owner"
    )
    binds |= {"leaf_id": leaf.leaf_id, "workspace_id": workspace_id, "max_offset": max_log_offset}
    table = await clickhouse.arrow(sql, condition.params | binds)
    return table.rename_columns(
        ["profile_id" if name == "owner" else name for name in table.column_names]
    )


def to_ms(at: datetime | None, default: int) -> int:
    """Milliseconds since the epoch; ``default`` where there is no bound."""
    return default if at is None else int(at.timestamp() * 1000)


def stored(row: tuple[Any, ...]) -> tuple[Position, StoredEvent]:
    occurred_ms, offset, index, received_ms, properties, traits, context, profile_id, *texts = row
    message_id, source_id, kind, event, user_id, anonymous_id = texts
    return (occurred_ms, offset, index), StoredEvent(
        message_id=message_id,
        source_id=source_id,
        type=kind,
        event=event,
        profile_id=profile_id,
        user_id=user_id,
        anonymous_id=anonymous_id,
        occurred_at=datetime.fromtimestamp(occurred_ms / 1000, UTC),
        received_at=datetime.fromtimestamp(received_ms / 1000, UTC),
        properties=json.loads(properties or "{}"),
        traits=json.loads(traits or "{}"),
        context=json.loads(context or "{}"),
    )
