"""What policies say of one message at one moment. Pure; times in ms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b
from typing import Literal, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from services.orchestrator.journeys.localtime import at_local, closing
from services.orchestrator.journeys.shapes import time_of
from services.orchestrator.policies.model import (
    LARGEST_LIMIT,
    LONGEST_SECONDS,
    Cap,
    PoliciesDocument,
    QuietHours,
)
from services.orchestrator.times import from_ms

MIDNIGHT = time_of("00:00")
MINUTE_MS = 60_000
Key = tuple[str, str]
"""Subject and cap."""
Uses = dict[str, int]
"""Message id → when it was reserved."""


class Counted(Protocol):
    """A message and where it is counted."""

    @property
    def id(self) -> UUID: ...

    @property
    def reserved(self) -> Sequence[Key]: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """A marketing message that is about to be claimed."""

    id: UUID
    journey_id: UUID
    profile_id: UUID
    channel_id: UUID
    medium: str
    contact: str | None
    zone: str | None
    tags: frozenset[str]
    priority: int
    created_at: int
    reserved: tuple[Key, ...]
    """Where it is counted already: it is tried again."""
    keyed: bool = False
    """The channel takes an idempotency key: an earlier try may have gone out unseen, and may count
    for good."""


def zone_of(message: Waiting, document: PoliciesDocument) -> ZoneInfo:
    return ZoneInfo(message.zone or document.default_zone or "UTC")


def quiet_until(message: Waiting, document: PoliciesDocument, now: int) -> int | None:
    """When the quiet hours end that hold the message; None: it may go now."""
    hours = document.quiet_hours
    if hours is None or (hours.media and message.medium not in hours.media):
        return None
    return closing(now, hours.start, hours.end, hours.weekdays, zone_of(message, document))


def release_at(message_id: UUID, hours: QuietHours, opens_at: int, place: int) -> int:
    """When a message goes that waited: not all of a zone at once.

    ``place``: how many of its channel wait for the same opening and came before it. Within its
    minute, or without a rate within the spread, it has a moment of its own, the same however often
    it is asked.
    """
    if hours.per_minute is None:
        return opens_at + _moment(message_id, hours.spread_minutes)
    return opens_at + MINUTE_MS * (place // hours.per_minute) + _moment(message_id, 1)


def _moment(message_id: UUID, minutes: int) -> int:
    drawn = int.from_bytes(blake2b(message_id.bytes, digest_size=8).digest())
    return drawn % (MINUTE_MS * minutes) if minutes else 0


def keys(message: Waiting, document: PoliciesDocument) -> list[tuple[Cap, Key]]:
    """The caps it counts in."""
    found = []
    for cap in document.caps:
        if cap.media and message.medium not in cap.media:
            continue
        if cap.tags and message.tags.isdisjoint(cap.tags):
            continue
        subject = str(message.profile_id) if cap.per == "person" else message.contact
        if subject is not None:
            found.append((cap, (subject, cap.name)))
    return found


@dataclass(slots=True)
class Reserved:
    """What a block of messages comes to; ``uses`` was counted on."""

    granted: dict[UUID, list[Key]] = field(default_factory=dict)
    refused: dict[UUID, tuple[Cap, int]] = field(default_factory=dict)
    """The cap that has no room, and when it has again."""
    changed: set[Key] = field(default_factory=set)


def reserve(
    messages: Iterable[Waiting],
    document: PoliciesDocument,
    uses: Mapping[Key, Uses],
    now: int,
) -> Reserved:
    """Count each message in all of its caps, or in none when one of them has no room.

    One that is tried again is counted anew, as of now: what a rolling window holds is when messages
    went out, not when somebody first tried to send them.
    """
    found = Reserved()
    for message in messages:
        wanted = keys(message, document)
        before = {key: uses[key].pop(str(message.id), now) for key in message.reserved}
        found.changed |= before.keys()
        full = next(
            (
                (cap, again)
                for cap, key in wanted
                if (again := _room_at(cap, message, document, uses[key].values(), now)) is not None
            ),
            None,
        )
        if full is not None:
            found.refused[message.id] = full
            if message.keyed:
                for key, at in before.items():
                    uses[key][str(message.id)] = at
            continue
        for _, key in wanted:
            uses[key][str(message.id)] = now
            found.changed.add(key)
        found.granted[message.id] = [key for _, key in wanted]
    return found


def give_back(messages: Iterable[Counted], uses: Mapping[Key, Uses]) -> set[Key]:
    """Count these no longer; the keys that changed."""
    changed = set()
    for message in messages:
        for key in message.reserved:
            if uses[key].pop(str(message.id), None) is not None:
                changed.add(key)
    return changed


def kept(uses: Uses, now: int) -> Uses:
    """Without those that decide nothing any more: too old, or more than any cap lets through."""
    oldest = now - 1_000 * LONGEST_SECONDS
    newest = sorted(uses.items(), key=lambda use: use[1])[-LARGEST_LIMIT:]
    return {id: at for id, at in newest if at >= oldest}


def _room_at(
    cap: Cap, message: Waiting, document: PoliciesDocument, times: Iterable[int], now: int
) -> int | None:
    """When there is room; None: there is."""
    if cap.rolling_seconds is not None:
        length = 1_000 * cap.rolling_seconds
        inside = sorted(at for at in times if at > now - length)
        return inside[len(inside) - cap.limit] + length if len(inside) >= cap.limit else None
    assert cap.calendar is not None
    since, until = calendar_window(cap.calendar, now, zone_of(message, document))
    return until if sum(at >= since for at in times) >= cap.limit else None


def calendar_window(
    unit: Literal["day", "week", "month"], at: int, zone: ZoneInfo
) -> tuple[int, int]:
    """Begin and end of the day, week from Monday or month that holds ``at``."""
    day = from_ms(at).astimezone(zone).date()
    match unit:
        case "day":
            first, last = day, day + timedelta(days=1)
        case "week":
            first = day - timedelta(days=day.weekday())
            last = first + timedelta(days=7)
        case "month":
            first = day.replace(day=1)
            last = _next_month(first)
    return at_local(first, MIDNIGHT, zone), at_local(last, MIDNIGHT, zone)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Rival:
    """Another journey's message to the same person."""

    journey_id: UUID
    priority: int
    created_at: int
    id: UUID


def winner(message: Waiting, rivals: Sequence[Rival], worth: Mapping[UUID, float]) -> Rival | None:
    """The best of the rivals that goes before the message; None: it is the best."""

    def rank(priority: int, journey_id: UUID, created_at: int, id: UUID) -> tuple[object, ...]:
        return -priority, -worth.get(journey_id, 0.0), created_at, id

    own = rank(message.priority, message.journey_id, message.created_at, message.id)
    best = min(rivals, key=lambda r: rank(r.priority, r.journey_id, r.created_at, r.id))
    return best if rank(best.priority, best.journey_id, best.created_at, best.id) < own else None
