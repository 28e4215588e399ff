"""Trims the log by age and size, never beyond what every reader is done with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.log import store
from services.tracking.log.port import Log, workspace_of
from services.tracking.log.readers import Readers

log = structlog.get_logger(__name__)

_PASS_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """None: without limit. ``max_bytes`` is of one partition's compressed events."""

    age: timedelta | None
    max_bytes: int | None


class Kept(Protocol):
    def kept(self, partition: str) -> int:
        """Up to which offset the log is not needed any more, whatever the readers say."""


class Retention:
    def __init__(
        self,
        maker: SessionMaker,
        events: Log,
        readers: Readers,
        ids: Kept,
        limits: Limits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._maker = maker
        self._events = events
        self._readers = readers
        self._ids = ids
        self._limits = limits
        self._now = now

    async def run(self) -> None:
        while True:
            await self.trim_all()
            await asyncio.sleep(_PASS_SECONDS)

    async def trim_all(self) -> int:
        """Number of rows trimmed, over all partitions."""
        # A reader that went back must be known before its rows go.
        await self._readers.write()
        rows = 0
        for partition in await self._events.ends():
            rows += await self._trim(partition)
        if rows:
            log.info("log_trimmed", rows=rows)
        return rows

    async def _trim(self, partition: str) -> int:
        age = self._limits.age
        before_ms = None if age is None else int((self._now() - age).timestamp() * 1000)
        async with workspace_tx(self._maker, workspace_of(partition)) as session:
            positions = await self._readers.positions(session, partition)
        until = min(self._ids.kept(partition), *positions.values())
        trimmed = await self._events.trim(
            partition, until, before_ms=before_ms, max_bytes=self._limits.max_bytes
        )
        if trimmed is None:
            return 0
        metrics.TRIMMED_ROWS.inc(trimmed.rows)
        # Not before the rows: a reader of a row must find its verdict.
        async with workspace_tx(self._maker, workspace_of(partition)) as session:
            await store.forget_verdicts(session, partition, trimmed.last)
        return trimmed.rows
