"""The log before its first row: what was trimmed is made again from ClickHouse."""

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from time import monotonic
from uuid import UUID

from services.kit.clickhouse import ClickHouse
from services.kit.feeds import FeedRow
from services.tracking.archive.rows import log_rows
from services.tracking.log.port import is_outcomes

_EVENTS = files(__package__).joinpath("events.sql").read_text()
_NEXT = files(__package__).joinpath("next.sql").read_text()

SPAN_ROWS = 20_000
SPAN_EVENTS = 50_000
"""Rows of the log lie scattered over the parts, which are sorted by day, event and person: to read
one page costs as much as to read many, so a stretch is read at once and given out page by page."""
KEEP_SECONDS = 10.0
"""For how long a stretch is given out: who is erased meanwhile must vanish within a minute."""
MAX_STRETCHES = 4


@dataclass(frozen=True, slots=True)
class _Stretch:
    """``rows``: everything in (``after``, ``until``] that exists."""

    after: int
    until: int
    rows: list[FeedRow]
    read_at: float

    def holds(self, after: int) -> bool:
        return self.after <= after < self.until and monotonic() < self.read_at + KEEP_SECONDS


class Archive:
    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._stretches: dict[str, _Stretch] = {}

    async def rows(
        self,
        partition: str,
        workspace_id: UUID,
        after: int,
        until: int,
        *,
        limit: int,
        max_bytes: int,
    ) -> list[FeedRow]:
        """Rows in (``after``, ``until``], at most ``limit`` and ``max_bytes`` but at least one if
        there are any at all. Rows without an event that counts do not exist here."""
        while after < until:
            stretch = self._stretches.get(partition)
            if stretch is None or not stretch.holds(after):
                stretch = await self._read(partition, workspace_id, after, until)
            found = [row for row in stretch.rows if after < row.offset <= until]
            if found:
                return _bounded(found[:limit], max_bytes)
            after = stretch.until
        return []

    async def _read(self, partition: str, workspace_id: UUID, after: int, until: int) -> _Stretch:
        outcomes = is_outcomes(partition)
        values = {"workspace_id": workspace_id, "outcomes": outcomes}
        [(first,)] = await self._clickhouse.query(_NEXT, {**values, "after": after, "until": until})
        end = min(until, first + SPAN_ROWS) if first else until
        found = await self._clickhouse.query(
            _EVENTS, {**values, "after": after, "until": end, "limit": SPAN_EVENTS}
        )
        rows = await asyncio.to_thread(lambda: list(log_rows(found, outcomes=outcomes)))
        if len(found) == SPAN_EVENTS and len(rows) > 1:
            # The last one may be cut in the middle.
            del rows[-1]
            end = rows[-1].offset
        stretch = _Stretch(after, end, rows, monotonic())
        self._stretches.pop(partition, None)
        self._stretches[partition] = stretch
        while len(self._stretches) > MAX_STRETCHES:
            del self._stretches[next(iter(self._stretches))]
        return stretch


def _bounded(rows: list[FeedRow], max_bytes: int) -> list[FeedRow]:
    size = 0
    for index, row in enumerate(rows):
        size += len(row.data)
        if size > max_bytes and index:
            return rows[:index]
    return rows
