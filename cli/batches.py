"""Turn a file's records into bounded batches of encoded events, rejects beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from cli.compile import Mapper
from cli.delivery import ENVELOPE_BYTES, Event
from cli.reading import BadRecord, Item
from cli.values import Rejected

# Segment's limits are 2,500 events and 500 KB for one request; one event may add 32 KB.
MAX_EVENTS = 2500
MAX_BYTES = 480_000
_MAX_REJECTS = 1000


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that did not become an event: its position and line, and why."""

    position: int
    line: int
    reason: str


@dataclass(slots=True)
class Batch:
    """The outcome of a run of records ending at `position` (on `line` of the file)."""

    position: int = 0
    line: int = 0
    read: int = 0
    events: list[Event] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


def batches(items: Iterable[Item], to_event: Mapper, after: int, size: int) -> Iterator[Batch]:
    """Batches of at most `size` events and MAX_BYTES bytes; items up to `after` are passed over."""
    batch, room = Batch(), MAX_BYTES - ENVELOPE_BYTES
    for position, line, record in items:
        if position <= after:
            continue
        reject = None
        if isinstance(record, BadRecord):
            reject = record.reason
        else:
            try:
                data = to_event(position, record)
            except Rejected as error:
                reject = str(error)
        if reject is None and room < len(data) + 1:
            yield batch
            batch, room = Batch(), MAX_BYTES - ENVELOPE_BYTES
        batch.position, batch.line = position, line
        batch.read += 1
        if reject is None:
            room -= len(data) + 1
            batch.events.append(Event(position, line, data))
        else:
            batch.rejects.append(Reject(position, line, reject))
        if len(batch.events) >= size or len(batch.rejects) >= _MAX_REJECTS:
            yield batch
            batch, room = Batch(), MAX_BYTES - ENVELOPE_BYTES
    if batch.read:
        yield batch
