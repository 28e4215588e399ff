"""SQL of the log: readers' positions, rows behind them, verdicts."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.feeds import FeedRow
from services.tracking.tables import LogPartitionRow, LogReaderRow, LogRow, LogVerdictRow

SEQUENCER = "sequencer"
LOADER = "loader"


class PositionMoved(Exception):
    """Another process moved this reader's position: we no longer are the one store."""


@dataclass(frozen=True, slots=True)
class Partition:
    """``position`` is how far the reader is, ``limit`` how far it may go."""

    name: str
    workspace_id: UUID
    position: int
    limit: int


_sequencer = LogReaderRow.__table__.alias("sequencer")
_loader = LogReaderRow.__table__.alias("loader")
_is_sequencer = (_sequencer.c.partition == LogPartitionRow.name) & (
    _sequencer.c.reader == SEQUENCER
)
# Built once: they run many times a second.
_TO_SEQUENCE = select(
    LogPartitionRow.name,
    LogPartitionRow.workspace_id,
    func.coalesce(_sequencer.c.position, 0),
    LogPartitionRow.end_offset,
).outerjoin(_sequencer, _is_sequencer)
_TO_LOAD = (
    select(
        LogPartitionRow.name,
        LogPartitionRow.workspace_id,
        func.coalesce(_loader.c.position, 0),
        _sequencer.c.position,
    )
    .join(_sequencer, _is_sequencer)
    .outerjoin(
        _loader, (_loader.c.partition == LogPartitionRow.name) & (_loader.c.reader == LOADER)
    )
)


async def partition_names(session: AsyncSession) -> list[str]:
    rows = await session.scalars(select(LogPartitionRow.name).order_by(LogPartitionRow.name))
    return list(rows)


async def to_sequence(session: AsyncSession) -> list[Partition]:
    """All partitions as the sequencer sees them."""
    return [Partition(*row) for row in await session.execute(_TO_SEQUENCE)]


async def to_load(session: AsyncSession) -> list[Partition]:
    """All partitions as the loader sees them: it stays behind the sequencer."""
    return [Partition(*row) for row in await session.execute(_TO_LOAD)]


async def position(session: AsyncSession, reader: str, partition: str) -> int:
    """0 for a reader that never read."""
    statement = select(LogReaderRow.position).where(
        LogReaderRow.reader == reader, LogReaderRow.partition == partition
    )
    return await session.scalar(statement) or 0


async def advance(session: AsyncSession, reader: str, partition: str, old: int, new: int) -> None:
    """Moves the position from ``old`` and forgets the open block; ``PositionMoved`` if not there.

    Compare and set: a store that lost its lock without knowing cannot do work twice.
    """
    values = {"position": new, "block_id": None, "block_end": None}
    statement = (
        postgresql.insert(LogReaderRow)
        .values(reader=reader, partition=partition, **values)
        .on_conflict_do_update(
            index_elements=[LogReaderRow.reader, LogReaderRow.partition],
            set_=values,
            where=LogReaderRow.position == old,
        )
        .returning(LogReaderRow.position)
    )
    if (await session.execute(statement)).scalar_one_or_none() is None:
        raise PositionMoved(f"{reader} of {partition} is not at {old}")


async def rows(
    session: AsyncSession, partition: str, after: int, until: int, limit: int, max_bytes: int
) -> list[FeedRow]:
    """Rows in (``after``, ``until``], at most ``limit`` and ``max_bytes`` but at least one.

    The session's workspace must be the partition's.
    """
    # The length of an EXTERNAL value is known without reading it.
    size = func.sum(func.octet_length(LogRow.data)).over(order_by=LogRow.offset)
    number = func.row_number().over(order_by=LogRow.offset)
    page = (
        select(LogRow.offset, size.label("size"), number.label("number"))
        .where(LogRow.partition == partition, LogRow.offset > after, LogRow.offset <= until)
        .order_by(LogRow.offset)
        .limit(limit)
        .subquery()
    )
    statement = (
        select(LogRow.offset, LogRow.count, LogRow.received_at, LogRow.data, LogVerdictRow.drop)
        .join(page, page.c.offset == LogRow.offset)
        .outerjoin(
            LogVerdictRow,
            (LogVerdictRow.partition == LogRow.partition) & (LogVerdictRow.offset == LogRow.offset),
        )
        .where(
            LogRow.partition == partition,
            (page.c.size <= literal(max_bytes)) | (page.c.number == 1),
        )
        .order_by(LogRow.offset)
    )
    return [
        FeedRow(offset, count, _ms(at), data, drop)
        for offset, count, at, data, drop in await session.execute(statement)
    ]


async def appended_at_ms(session: AsyncSession, partition: str, offset: int) -> int | None:
    """None where there is no such row, or not any more."""
    statement = select(LogRow.received_at).where(
        LogRow.partition == partition, LogRow.offset == offset
    )
    at = await session.scalar(statement)
    return None if at is None else _ms(at)


async def add_verdicts(
    session: AsyncSession, partition: Partition, drops: dict[int, bytes]
) -> None:
    """``drops``: offset → bitmap, only of rows that hold duplicates."""
    if drops:
        await session.execute(
            insert(LogVerdictRow),
            [
                {
                    "partition": partition.name,
                    "offset": offset,
                    "workspace_id": partition.workspace_id,
                    "drop": drop,
                }
                for offset, drop in drops.items()
            ],
        )


@dataclass(frozen=True, slots=True)
class OpenBlock:
    block_id: str
    end: int


async def open_block(session: AsyncSession, partition: str) -> OpenBlock | None:
    statement = select(LogReaderRow.block_id, LogReaderRow.block_end).where(
        LogReaderRow.reader == LOADER, LogReaderRow.partition == partition
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None or row.block_id is None:
        return None
    return OpenBlock(row.block_id, row.block_end)


async def begin_block(session: AsyncSession, partition: Partition, block: OpenBlock) -> None:
    """Fixes the boundaries of the loader's next block; ``PositionMoved`` as in ``advance``."""
    values = {"block_id": block.block_id, "block_end": block.end}
    await session.execute(
        postgresql.insert(LogReaderRow)
        .values(reader=LOADER, partition=partition.name, position=0)
        .on_conflict_do_nothing()
    )
    statement = (
        update(LogReaderRow)
        .where(
            LogReaderRow.reader == LOADER,
            LogReaderRow.partition == partition.name,
            LogReaderRow.position == partition.position,
            LogReaderRow.block_id.is_(None),
        )
        .values(values)
        .returning(LogReaderRow.position)
    )
    if (await session.execute(statement)).scalar_one_or_none() is None:
        raise PositionMoved(f"loader of {partition.name} is not at {partition.position}")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
