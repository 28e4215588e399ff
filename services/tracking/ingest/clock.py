"""When did it happen? Device clocks may be wrong, and delays are not clock errors. Pure.

Formulas that shift every event by ``received - sent`` fold the transit delay into the event's time
and turn the order of a person's events around; so a time is moved only where a delay cannot explain
the difference. All times are integer milliseconds since the epoch, UTC.
"""

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from services.contracts.events import TimeSource

STEP_MS = 5 * 60 * 1000
"""Differences below one step are ordinary latency; shifts are whole steps."""
MAX_MS = 4_102_444_800_000
"""2100-01-01: later stamps are no times of events."""


class Times(msgspec.Struct, frozen=True):
    occurred_at: int
    original_at: int
    source: TimeSource


def resolve(original: int | None, sent: int | None, received: int, server_side: bool) -> Times:
    """The time an event counts for.

    A device that is ahead (``sent`` at least one step after ``received``) is corrected. One that
    is behind keeps its time: that may as well be a delay, and telling them apart needs the
    device's history. Servers keep time; theirs is never corrected.
    """
    if original is None:
        return Times(received, received, "received")
    occurred, source = original, "original"
    if not server_side and sent is not None and sent - received >= STEP_MS:
        occurred = original - (sent - received + STEP_MS // 2) // STEP_MS * STEP_MS
        source = "skew_shifted"
    if occurred > received:
        occurred, source = received, "clamped"
    if occurred < 0:
        occurred, source = received, "received"
    return Times(occurred, original, source)  # type: ignore[arg-type]


def parse(value: str | int | float | None) -> int | None:
    """ISO 8601 text (UTC where no zone is given) or epoch seconds or milliseconds → milliseconds.

    None for what is no time between 1970 and 2100.
    """
    if isinstance(value, str):
        if len(value) == 24 and value[23] == "Z":
            # As JavaScript writes it, and nearly everybody: events of a batch share their second.
            second, fraction = _second(value[:20]), _THOUSANDTHS.get(value[20:23])
            if second is not None and fraction is not None:
                return second + fraction
        ms = _parse_text(value) if value else None
        return ms if ms is not None and 0 <= ms < MAX_MS else None
    if value is None:
        return None
    # Seconds have ten digits until 2286. NaN, which lenient parsers let through, is in no range.
    found = value if abs(value) >= 100_000_000_000 else value * 1000
    return int(found) if 0 <= found < MAX_MS else None


_THOUSANDTHS = {f"{number:03}": number for number in range(1000)}


@lru_cache(maxsize=4096)
def _second(value: str) -> int | None:
    """``YYYY-MM-DDTHH:MM:SS.``, and nothing else, between 1970 and 2100 as milliseconds."""
    if value[13] != ":" or value[16] != ":" or value[19] != ".":
        return None
    try:
        at = datetime.fromisoformat(value[:19])
    except ValueError:
        return None
    if at.tzinfo:
        return None
    ms = int(at.replace(tzinfo=UTC).timestamp()) * 1000
    return ms if 0 <= ms < MAX_MS else None


def _parse_text(value: str) -> int | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    # Not timestamp() * 1000: a float of milliseconds loses the last one now and then.
    return int(at.timestamp() // 1) * 1000 + at.microsecond // 1000
