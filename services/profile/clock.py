"""The time of day as something that is passed in, so that tests can move it."""

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from services.kit.waiting import came


class Clock(Protocol):
    def now(self) -> datetime:
        """The time now, aware, UTC."""

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        """Returns when ``event`` is set or, if that is sooner, at ``until_ms``."""


class SystemClock:
    # A wait is cut into pieces of this length, so that a clock set forward is noticed.
    LONGEST_WAIT_SECONDS = 30.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        seconds = self.LONGEST_WAIT_SECONDS
        if until_ms is not None:
            seconds = min(seconds, max(0.0, until_ms / 1000 - self.now().timestamp()))
        await came(event, seconds)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
