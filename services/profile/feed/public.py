"""The change feed as partners see it: one entry at a time, in JSON. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

import msgspec

from services.contracts.changes import Change, ChangeType
from services.kit.feeds import FeedRow

TYPES: tuple[str, ...] = get_args(ChangeType)
_TEXTS = ("properties", "context")
"""Of an ``event``, JSON kept as text."""


class Place(NamedTuple):
    """After this entry of the row at ``offset``; -1: at the row's beginning."""

    offset: int
    entry: int


START = Place(0, -1)


@dataclass(frozen=True, slots=True)
class Entry:
    """``id`` never changes: whoever has seen it has seen this change."""

    place: Place
    id: str
    type: str
    profile_id: str
    at: str
    data: dict[str, Any]


def entries(rows: Sequence[FeedRow], after: Place, types: Collection[str]) -> Iterator[Entry]:
    """Those of ``types`` (all, if empty) behind ``after``, in their order."""
    for row in rows:
        for index, change in row.places(Change):
            place = Place(row.offset, index)
            if place > after and (not types or change.type in types):
                yield _entry(place, change)


def _entry(place: Place, change: Change) -> Entry:
    at = datetime.fromtimestamp(change.at / 1000, UTC).isoformat(timespec="milliseconds")
    data = {
        key: msgspec.json.decode(value) if change.type == "event" and key in _TEXTS else value
        for key, value in change.data.items()
    }
    return Entry(
        place,
        f"{place.offset}-{place.entry}",
        change.type,
        change.profile_id,
        at.replace("+00:00", "Z"),
        data,
    )
