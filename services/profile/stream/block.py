"""A block of the log as one set of events with their places."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from services.contracts.events import Event
from services.kit.feeds import FeedRow
from services.profile.identity.resolve import Identifier, Sighting
from services.profile.stream.said import Saying, said

_ROW_BITS = 20
"""A row of the log never holds 2**20 events, so (offset, index) fits into one integer."""


@dataclass
class Block:
    """Events in log order; ``seqs`` their places in it; ``end`` the offset of the last row.

    What the events say by themselves is found when it is first asked for, or by ``prepare`` while
    the block before is still applied.
    """

    end: int
    events: list[Event] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)

    @cached_property
    def sightings(self) -> list[Sighting]:
        """What each says about identity."""
        return [
            Sighting(seq, event.subject_id, identifiers(event), event.occurred_at)
            for seq, event in zip(self.seqs, self.events, strict=True)
        ]

    @cached_property
    def named(self) -> set[Identifier]:
        """All identifiers."""
        return set(chain.from_iterable(sighting.identifiers for sighting in self.sightings))

    @cached_property
    def sayings(self) -> list[Saying]:
        """What some say about traits and consents."""
        found = ((index, event, said(event)) for index, event in enumerate(self.events))
        return [(index, event, s) for index, event, s in found if s is not None]

    def prepare(self) -> "Block":
        _ = self.named, self.sayings
        return self

    def part(self, start: int, end: int) -> "Block":
        """The events at ``start`` ≤ place < ``end``."""
        return Block(self.end, self.events[start:end], self.seqs[start:end])

    def without(self, places: set[int]) -> "Block":
        if not places:
            return self
        kept = [i for i in range(len(self.events)) if i not in places]
        return Block(self.end, [self.events[i] for i in kept], [self.seqs[i] for i in kept])


def first_place(offset: int) -> int:
    """The place of the first event of a row of the log."""
    return offset << _ROW_BITS


def row_of(seq: int) -> int:
    """The offset of the row that holds the event at this place."""
    return seq >> _ROW_BITS


def decode(rows: Iterable[FeedRow]) -> Block:
    block = Block(0)
    for row in rows:
        events = row.entries(Event)
        block.end = row.offset
        first = first_place(row.offset)
        block.events.extend(events)
        block.seqs.extend(range(first, first + len(events)))
    return block


def identifiers(event: Event) -> list[Identifier]:
    # An event without any still is somebody's: its subject stands in.
    return event.identifiers or [("subject", event.subject_id)]
