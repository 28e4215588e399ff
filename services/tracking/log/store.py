"""What is kept of the log's readers, whatever the log is: positions, verdicts, the open block."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.feeds import FeedRow
from services.tracking.log.port import workspace_of
from services.tracking.tables import LogReaderRow, LogVerdictRow

SEQUENCER = "sequencer"
LOADER = "loader"


class PositionMoved(Exception):
    """Another process moved this reader's position: we no longer are the one store."""


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """What the loader has begun: the rows from its position to ``end``."""

    block_id: str
    end: int


@dataclass(frozen=True, slots=True)
class Partition:
    """``position`` is how far the reader is, ``limit`` how far it may go."""

    name: str
    position: int
    limit: int
    block: OpenBlock | None = None
    """The loader's, where it has begun one and not closed it."""

    @property
    def workspace_id(self) -> UUID:
        return workspace_of(self.name)


_sequencer = LogReaderRow.__table__.alias("sequencer")
_loader = LogReaderRow.__table__.alias("loader")
# Built once: they run many times a second.
_SEQUENCED = select(LogReaderRow.partition, LogReaderRow.position).where(
    LogReaderRow.reader == SEQUENCER
)
_TO_LOAD = (
    select(
        _sequencer.c.partition,
        func.coalesce(_loader.c.position, 0),
        _sequencer.c.position,
        _loader.c.block_id,
        _loader.c.block_end,
    )
    .outerjoin(
        _loader,
        (_loader.c.partition == _sequencer.c.partition) & (_loader.c.reader == LOADER),
    )
    .where(_sequencer.c.reader == SEQUENCER)
)


async def to_sequence(session: AsyncSession, ends: Mapping[str, int]) -> list[Partition]:
    """All partitions as the sequencer sees them; ``ends`` are those of the log."""
    positions = dict((await session.execute(_SEQUENCED)).all())
    return [Partition(name, positions.get(name, 0), end) for name, end in ends.items()]


async def to_load(session: AsyncSession) -> list[Partition]:
    """All partitions as the loader sees them: it stays behind the sequencer."""
    return [
        Partition(name, position, limit, None if block_id is None else OpenBlock(block_id, end))
        for name, position, limit, block_id, end in await session.execute(_TO_LOAD)
    ]


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


async def apply_verdicts(
    session: AsyncSession, partition: str, rows: Sequence[FeedRow]
) -> Sequence[FeedRow]:
    """The same rows of the log with their duplicates marked."""
    if rows:
        statement = select(LogVerdictRow.offset, LogVerdictRow.drop).where(
            LogVerdictRow.partition == partition,
            LogVerdictRow.offset.between(rows[0].offset, rows[-1].offset),
        )
        drops = dict((await session.execute(statement)).all())
        for row in rows:
            row.drop = drops.get(row.offset)
    return rows


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


async def forget_verdicts(session: AsyncSession, partition: str, until: int) -> None:
    """Those of rows up to ``until``, which are trimmed."""
    await session.execute(
        delete(LogVerdictRow).where(
            LogVerdictRow.partition == partition, LogVerdictRow.offset <= until
        )
    )


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
