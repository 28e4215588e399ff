"""The log as a table of PostgreSQL, seen by its readers; ``log.commit`` appends to it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import structlog
from sqlalchemy import delete, func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.feeds import FeedRow
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.log.commit import CONNECT_SECONDS, OUTAGES, asyncpg_dsn
from services.tracking.log.port import Trimmed, workspace_of
from services.tracking.tables import LogPartitionRow, LogRow

log = structlog.get_logger(__name__)

BATCH_ROWS = 1000
"""Rows trimmed per transaction: readers and appends are not held up."""
_CHECK_SECONDS = 5.0
_RETRY_SECONDS = 0.25

_TABLE_BYTES = text("SELECT pg_total_relation_size('log')")


class PostgresLog:
    rewritable = True

    def __init__(self, maker: SessionMaker, dsn: str) -> None:
        """``dsn``: SQLAlchemy URL of the same database, for a connection that listens."""
        self._maker = maker
        self._dsn = asyncpg_dsn(dsn)

    async def ends(self, workspace_id: UUID | None = None) -> dict[str, int]:
        statement = select(LogPartitionRow.name, LogPartitionRow.end_offset)
        if workspace_id is not None:
            statement = statement.where(LogPartitionRow.workspace_id == workspace_id)
        async with self._maker.begin() as session:
            return dict((await session.execute(statement)).all())

    async def read(
        self, partition: str, after: int, until: int, *, rows: int, size: int
    ) -> list[FeedRow]:
        # The length of an EXTERNAL value is known without reading it.
        total = func.sum(func.octet_length(LogRow.data)).over(order_by=LogRow.offset)
        number = func.row_number().over(order_by=LogRow.offset)
        page = (
            select(LogRow.offset, total.label("total"), number.label("number"))
            .where(LogRow.partition == partition, LogRow.offset > after, LogRow.offset <= until)
            .order_by(LogRow.offset)
            .limit(rows)
            .subquery()
        )
        statement = (
            select(LogRow.offset, LogRow.count, LogRow.received_at, LogRow.data)
            .join(page, page.c.offset == LogRow.offset)
            .where(
                LogRow.partition == partition,
                (page.c.total <= literal(size)) | (page.c.number == 1),
            )
            .order_by(LogRow.offset)
        )
        async with workspace_tx(self._maker, workspace_of(partition)) as session:
            return [
                FeedRow(offset, count, _ms(at), data)
                for offset, count, at, data in await session.execute(statement)
            ]

    async def appended_at_ms(self, partition: str, offset: int) -> int | None:
        statement = select(LogRow.received_at).where(
            LogRow.partition == partition, LogRow.offset == offset
        )
        async with workspace_tx(self._maker, workspace_of(partition)) as session:
            at = await session.scalar(statement)
        return None if at is None else _ms(at)

    async def trim(
        self, partition: str, until: int, *, before_ms: int | None, max_bytes: int | None
    ) -> Trimmed | None:
        cutoff = None if before_ms is None else datetime.fromtimestamp(before_ms / 1000, UTC)
        excess = await self._excess(partition, max_bytes)
        rows = last = 0
        while True:
            async with workspace_tx(self._maker, workspace_of(partition)) as session:
                batch = await _trim_batch(session, partition, until, cutoff, excess)
            if batch is None:
                return Trimmed(rows, last) if rows else None
            count, size, last = batch
            rows, excess = rows + count, excess - size

    async def _excess(self, partition: str, max_bytes: int | None) -> int:
        """Bytes beyond the limit of size; 0 or less when there are none."""
        if max_bytes is None:
            return 0
        async with workspace_tx(self._maker, workspace_of(partition)) as session:
            # Cheap, and nearly always the answer; only then every row is asked for its length.
            if (await session.scalar(_TABLE_BYTES) or 0) <= max_bytes:
                return 0
            statement = select(func.coalesce(func.sum(func.octet_length(LogRow.data)), 0)).where(
                LogRow.partition == partition
            )
            return int(await session.scalar(statement) or 0) - max_bytes

    async def watch(self, on_append: Callable[[], None]) -> None:
        while True:
            try:
                await self._listen(on_append)
            except OUTAGES as error:
                log.warning("log_watch_lost", error=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, on_append: Callable[[], None]) -> None:
        """Ends only by cancellation or one of ``OUTAGES``."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=10,
            server_settings={"application_name": "waymark-log-watch"},
        )
        try:
            await connection.add_listener("log", lambda *_: on_append())
            # What came before we listened was told to nobody.
            on_append()
            while True:
                await asyncio.sleep(_CHECK_SECONDS)
                await connection.execute("SELECT 1")
        finally:
            connection.terminate()


async def _trim_batch(
    session: AsyncSession, partition: str, until: int, cutoff: datetime | None, excess: int
) -> tuple[int, int, int] | None:
    """(rows, bytes, last offset) that went; None when nothing more may go."""
    oldest = await session.execute(
        select(LogRow.offset, LogRow.received_at, func.octet_length(LogRow.data))
        .where(LogRow.partition == partition, LogRow.offset <= until)
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
    await session.execute(
        delete(LogRow).where(LogRow.partition == partition, LogRow.offset <= last)
    )
    return count, size, last


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
