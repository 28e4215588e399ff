"""Trims the log by age and size, never beyond what every reader is done with."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import delete, func, select, text

from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.log.readers import Readers
from services.tracking.tables import LogPartitionRow, LogRow, LogVerdictRow

log = structlog.get_logger(__name__)

BATCH_ROWS = 1000
"""Rows per transaction: readers and appends are not held up, and nobody waits for the end."""
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
        readers: Readers,
        ids: Kept,
        limits: Limits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._maker = maker
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
        async with self._maker.begin() as session:
            partitions = (
                await session.execute(select(LogPartitionRow.name, LogPartitionRow.workspace_id))
            ).all()
        rows = 0
        for name, workspace_id in partitions:
            excess = await self._excess(name, workspace_id)
            while trimmed := await self._trim(name, workspace_id, excess):
                count, size = trimmed
                rows, excess = rows + count, excess - size
                metrics.TRIMMED_ROWS.inc(count)
        if rows:
            log.info("log_trimmed", rows=rows)
        return rows

    async def _excess(self, partition: str, workspace_id: UUID) -> int:
        """Bytes beyond the limit of size; 0 or less when there are none."""
        limit = self._limits.max_bytes
        if limit is None:
            return 0
        async with workspace_tx(self._maker, workspace_id) as session:
            # Cheap, and nearly always the answer; only then every row is asked for its length.
            if (await session.scalar(_TABLE_BYTES) or 0) <= limit:
                return 0
            statement = select(func.coalesce(func.sum(func.octet_length(LogRow.data)), 0)).where(
                LogRow.partition == partition
            )
            return int(await session.scalar(statement) or 0) - limit

    async def _trim(
        self, partition: str, workspace_id: UUID, excess: int
    ) -> tuple[int, int] | None:
        """One batch: (rows, bytes) that went; None when nothing more may go."""
        cutoff = None if self._limits.age is None else self._now() - self._limits.age
        async with workspace_tx(self._maker, workspace_id) as session:
            positions = await self._readers.positions(session, partition)
            limit = min(self._ids.kept(partition), *positions.values())
            oldest = await session.execute(
                select(LogRow.offset, LogRow.received_at, func.octet_length(LogRow.data))
                .where(LogRow.partition == partition, LogRow.offset <= limit)
                .order_by(LogRow.offset)
                .limit(BATCH_ROWS)
            )
            last = count = size = 0
            for offset, received_at, length in oldest:
                if not (size < excess or (cutoff is not None and received_at < cutoff)):
                    break
                last, count, size = offset, count + 1, size + length
            if not count:
                return None
            for table in (LogRow, LogVerdictRow):
                await session.execute(
                    delete(table).where(table.partition == partition, table.offset <= last)
                )
        return count, size


_TABLE_BYTES = text("SELECT pg_total_relation_size('log')")
