"""Log rows → the Arrow tables that go into ClickHouse as one block. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import pyarrow as pa

from services.contracts.events import Event, Outcome
from services.kit.feeds import FeedRow, unpack
from services.tracking.log.port import is_outcomes
from services.tracking.named import beside_fields, first

MAX_PARTITIONS = 90
"""ClickHouse refuses an insert into more than 100 of its partitions; ours are months."""
OUTCOME_SOURCE = "waymark"

_FIRST_MONTH, _LAST_MONTH = 201501, 204912
"""The clamp of the table's partition key."""
_SHORTEST_MONTH_MS = 28 * 86_400_000
_LONGEST_MONTH_MS = 31 * 86_400_000
_TIME = pa.timestamp("ms", tz="UTC")
_UUID = pa.binary(16)


class Entry(NamedTuple):
    """One entry that counts, and its place in the log."""

    log_offset: int
    log_index: int
    event: Event


def entries(partition: str, rows: Sequence[FeedRow]) -> list[Entry]:
    """What counts in ``rows``: duplicates are left out, outcomes become events."""
    found: list[Entry] = []
    for row in rows:
        drop = row.drop
        for index, event in enumerate(_events(partition, row)):
            if drop is None or not drop[index >> 3] >> (index & 7) & 1:
                found.append(Entry(row.offset, index, event))
    return found


def _events(partition: str, row: FeedRow) -> list[Event]:
    if is_outcomes(partition):
        return [_outcome(o, row.at) for o in unpack(row.data, Outcome)]
    return unpack(row.data, Event)


def _outcome(outcome: Outcome, received_at: int) -> Event:
    return Event(
        message_id=outcome.message_id,
        source_id=OUTCOME_SOURCE,
        type="outcome",  # type: ignore[arg-type]  # only in ClickHouse, no client can send it
        event=outcome.event,
        subject_id=outcome.profile_id,
        identifiers=[],
        user_id="",
        anonymous_id="",
        occurred_at=outcome.occurred_at,
        original_at=outcome.occurred_at,
        received_at=received_at,
        properties=outcome.properties,
    )


def table(workspace_id: UUID, block_id: str, block: Sequence[Entry]) -> pa.Table:
    """The columns of ClickHouse's ``events``, one row per entry."""
    size = len(block)
    events = [entry.event for entry in block]

    def texts(name: str) -> pa.Array:
        return pa.array([getattr(e, name) for e in events], pa.string())

    def named(namespace: str) -> pa.Array:
        return pa.array([first(e.identifiers, namespace) for e in events], pa.string())

    def times(name: str) -> pa.Array:
        return pa.array([getattr(e, name) for e in events], pa.int64()).cast(_TIME)

    return pa.table(
        {
            "workspace_id": pa.array([workspace_id.bytes] * size, _UUID),
            "source_id": texts("source_id"),
            "message_id": texts("message_id"),
            "type": texts("type"),
            "event": texts("event"),
            "user_id": texts("user_id"),
            "anonymous_id": texts("anonymous_id"),
            "email": named("email"),
            "phone": named("phone"),
            "previous_id": texts("previous_id"),
            "group_id": texts("group_id"),
            "identifiers": pa.array([beside_fields(e) for e in events], pa.string()),
            "subject_id": pa.array(
                [bytes.fromhex(e.subject_id.replace("-", "")) for e in events], _UUID
            ),
            "occurred_at": times("occurred_at"),
            "original_at": times("original_at"),
            "sent_at": times("sent_at"),
            "received_at": times("received_at"),
            "time_source": texts("time_source"),
            "properties": texts("properties"),
            "traits": texts("traits"),
            "context": texts("context"),
            "log_offset": pa.array([entry.log_offset for entry in block], pa.uint64()),
            "log_index": pa.array([entry.log_index for entry in block], pa.uint32()),
            "block_id": pa.array([block_id] * size, pa.string()),
        }
    )


def split(block: Sequence[Entry]) -> list[Sequence[Entry]]:
    """Parts that span at most ``MAX_PARTITIONS`` months each; the same for the same block."""
    times = [entry.event.occurred_at for entry in block]
    if max(times) - min(times) < MAX_PARTITIONS * _SHORTEST_MONTH_MS - _LONGEST_MONTH_MS:
        return [block]
    parts: dict[int, list[Entry]] = {}
    months = {at: _month(at) for at in set(times)}
    order = {month: i for i, month in enumerate(sorted(set(months.values())))}
    for entry, at in zip(block, times, strict=True):
        parts.setdefault(order[months[at]] // MAX_PARTITIONS, []).append(entry)
    return [parts[number] for number in sorted(parts)]


def _month(at: int) -> int:
    day = datetime.fromtimestamp(at / 1000, UTC)
    return min(max(day.year * 100 + day.month, _FIRST_MONTH), _LAST_MONTH)
