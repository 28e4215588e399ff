"""A clock that tests move."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self._moved = asyncio.Event()

    def now(self) -> datetime:
        return self.time

    def advance(self, by: timedelta) -> None:
        self.time += by
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, event: asyncio.Event, until_ms: int | None) -> None:
        while not event.is_set():
            if until_ms is not None and until_ms <= self.time.timestamp() * 1000:
                return
            waits = [asyncio.ensure_future(e.wait()) for e in (event, self._moved)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
