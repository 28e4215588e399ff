"""The times of a schedule. Pure."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from services.orchestrator.journeys.entries import ScheduleEntry
from services.orchestrator.journeys.localtime import at_local
from services.orchestrator.times import from_ms

HORIZON = timedelta(days=5 * 366)
"""A rule that gives no time within five years gives none: the search for one must end."""


def next_occurrence(entry: ScheduleEntry, after: int) -> int | None:
    """The first time (ms) after ``after`` (ms); None when there is none.

    Times are counted by the clock of the schedule's zone: "every Monday at nine" stays at nine
    when clocks change.
    """
    zone = ZoneInfo(entry.timezone)
    start = entry.starts_at
    if entry.recurrence is None:
        at = at_local(start.date(), start.time(), zone)
        return at if at > after else None
    since = from_ms(after).astimezone(zone).replace(tzinfo=None) - timedelta(days=1)
    limit = max(since, start) + HORIZON
    for local in rrulestr(entry.recurrence, dtstart=start).xafter(since, inc=True):
        at = at_local(local.date(), local.time(), zone)
        if local > limit:
            return None
        if at > after:
            return at
    return None
