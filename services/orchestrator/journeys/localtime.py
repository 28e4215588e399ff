"""Times of day in a person's zone, by the zone's rules and never by an offset. Pure.

Times go in and out as ms since the epoch. A time of day that a change of clocks leaves out comes
later by as much as was left out; one that comes twice is meant the first time (RFC 5545, 3.3.5).
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.orchestrator.journeys.shapes import time_of
from services.orchestrator.times import from_ms, to_ms


def at_local(day: date, clock: time, zone: ZoneInfo) -> int:
    """The instant of this day and time of day."""
    return to_ms(datetime.combine(day, clock, zone).astimezone(UTC))


def next_local(at: int, clock: str, weekdays: Collection[int], zone: ZoneInfo) -> int:
    """The first such time of day on such a day that is at or after ``at``."""
    day, wanted = from_ms(at).astimezone(zone).date(), time_of(clock)
    for days in range(9):
        candidate = day + timedelta(days=days)
        if candidate.isoweekday() in weekdays and at_local(candidate, wanted, zone) >= at:
            return at_local(candidate, wanted, zone)
    raise AssertionError("a week holds every weekday")


def closing(at: int, start: str, end: str, weekdays: Collection[int], zone: ZoneInfo) -> int | None:
    """When the window that holds ``at`` ends; None outside of it. As in ``opening``."""
    day = from_ms(at).astimezone(zone).date()
    opens, closes = time_of(start), time_of(end)
    over = 1 if closes <= opens else 0
    for days in (-1, 0):
        candidate = day + timedelta(days=days)
        until = at_local(candidate + timedelta(days=over), closes, zone)
        if candidate.isoweekday() in weekdays and at_local(candidate, opens, zone) <= at < until:
            return until
    return None


def opening(at: int, start: str, end: str, weekdays: Collection[int], zone: ZoneInfo) -> int:
    """``at`` itself inside the window from ``start`` to before ``end``, else when it next opens.

    A window over midnight belongs to the day on which it starts (semantics QH-3).
    """
    day = from_ms(at).astimezone(zone).date()
    opens, closes = time_of(start), time_of(end)
    over = 1 if closes <= opens else 0
    for days in range(-1, 9):
        candidate = day + timedelta(days=days)
        if candidate.isoweekday() not in weekdays:
            continue
        since = at_local(candidate, opens, zone)
        until = at_local(candidate + timedelta(days=over), closes, zone)
        if at < until:
            return max(at, since)
    raise AssertionError("a week holds every weekday")
