"""What was planned against what was seen: the state of every touchpoint. Pure.

A touchpoint is an event at a source, and through the source in a channel; or one that somebody
declared for a channel, with the event that shows it or none yet.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.contracts.tracking import Channel
from services.tracking.sources.store import Setting

Status = Literal["seen", "missing", "unplanned"]


@dataclass(frozen=True, slots=True)
class Seen:
    """Traffic of one event at one source, inside the window. ``checked`` by a plan, and of these
    ``broken``."""

    source_id: str
    event: str
    count: int
    first_at: datetime
    last_at: datetime
    broken: int = 0
    checked: int = 0


@dataclass(frozen=True, slots=True)
class Declared:
    id: UUID
    name: str
    channel: Channel
    event: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """``source_id`` is empty on a declared one, which any source of its channel shows."""

    key: tuple[str, str, str]
    """(source, event, id of a declared one): unique, and the order of the inventory."""
    name: str
    channel: Channel | None
    source_id: str
    event: str | None
    touchpoint_id: UUID | None
    status: Status
    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    violations: int = 0


def inventory(
    settings: Sequence[Setting],
    documents: Mapping[tuple[UUID, int], dict[str, Any]],
    declared: Sequence[Declared],
    traffic: Iterable[Seen],
) -> list[Entry]:
    """Every touchpoint once, by key. ``documents``: of the plan versions that sources run."""
    by_place = {(seen.source_id, seen.event): seen for seen in traffic}
    channel_of = {s.source_id: s.channel for s in settings}
    planned: dict[tuple[str, str], str] = {}
    for setting in settings:
        for event, said in _events(setting, documents).items():
            expected = said.get("channels")
            if expected is None or setting.channel in expected:
                planned[setting.source_id, event] = said.get("description") or event
    by_channel: dict[tuple[Channel, str], list[Seen]] = defaultdict(list)
    for (source_id, event), seen in by_place.items():
        channel = channel_of.get(source_id)
        if channel is not None:
            by_channel[channel, event].append(seen)
    found = [
        _entry(place, name, channel_of.get(place[0]), by_place.get(place))
        for place, name in planned.items()
    ]
    shown: set[tuple[Channel, str]] = set()
    for touchpoint in declared:
        if touchpoint.event is not None:
            shown.add((touchpoint.channel, touchpoint.event))
        found.append(_declared(touchpoint, by_channel))
    for place, seen in by_place.items():
        channel = channel_of.get(place[0])
        if place not in planned and (channel is None or (channel, place[1]) not in shown):
            found.append(_entry(place, place[1], channel, seen, unplanned=True))
    return sorted(found, key=lambda entry: entry.key)


def _events(
    setting: Setting, documents: Mapping[tuple[UUID, int], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    if setting.plan_id is None or setting.version is None:
        return {}
    events: dict[str, dict[str, Any]] = documents[setting.plan_id, setting.version]["events"]
    return events


def _entry(
    place: tuple[str, str],
    name: str,
    channel: Channel | None,
    seen: Seen | None,
    *,
    unplanned: bool = False,
) -> Entry:
    source_id, event = place
    status: Status = "unplanned" if unplanned else "missing" if seen is None else "seen"
    entry = (source_id, event, "")
    if seen is None:
        return Entry(entry, name, channel, source_id, event, None, status)
    return Entry(
        entry,
        name,
        channel,
        source_id,
        event,
        None,
        status,
        seen.count,
        seen.first_at,
        seen.last_at,
        seen.broken,
    )


def _declared(touchpoint: Declared, by_channel: Mapping[tuple[Channel, str], list[Seen]]) -> Entry:
    event = touchpoint.event
    seen = [] if event is None else by_channel.get((touchpoint.channel, event), [])
    return Entry(
        ("", event or "", str(touchpoint.id)),
        touchpoint.name,
        touchpoint.channel,
        "",
        event,
        touchpoint.id,
        "seen" if seen else "missing",
        sum(s.count for s in seen),
        min((s.first_at for s in seen), default=None),
        max((s.last_at for s in seen), default=None),
        sum(s.broken for s in seen),
    )
