"""SQL of the change feed."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit import feeds
from services.profile.feed.tables import FeedRow
from services.profile.stream.tables import ConsumerRow

MAX_ENTRIES = 5000
"""Entries per row: what a reader takes into memory at once."""


class Packed(NamedTuple):
    """Entries as a row holds them."""

    entries: int
    data: bytes


def whole_rows(entries: list[Change]) -> tuple[list[Packed], list[Change]]:
    """The entries that make full rows, packed, and the rest."""
    whole = len(entries) // MAX_ENTRIES * MAX_ENTRIES
    return _packed(entries[:whole]), entries[whole:]


async def append(
    session: AsyncSession,
    workspace_id: UUID,
    entries: Sequence[Change],
    *,
    after: Sequence[Packed] = (),
) -> int:
    """Append the rows ``after`` and then entries, in order; the offset of the last row (of the last
    one before, if none)."""
    rows = [*after, *await asyncio.to_thread(_packed, entries)]
    partition = str(workspace_id)
    await feeds.lock_partition(session, "feed", partition)
    offset = await end(session, workspace_id)
    for number, (count, data) in enumerate(rows, offset + 1):
        row = {
            "workspace_id": workspace_id,
            "partition": partition,
            "offset": number,
            "count": count,
            "at": func.now(),
            "data": data,
        }
        await session.execute(insert(FeedRow).values(row))
    return offset + len(rows)


def _packed(entries: Sequence[Change]) -> list[Packed]:
    starts = range(0, len(entries), MAX_ENTRIES)
    parts = (entries[start : start + MAX_ENTRIES] for start in starts)
    return [Packed(len(part), feeds.pack(part)) for part in parts]


async def end(session: AsyncSession, workspace_id: UUID) -> int:
    """The last offset written, 0 for an empty feed."""
    statement = select(func.coalesce(func.max(FeedRow.offset), 0)).where(
        FeedRow.workspace_id == workspace_id, FeedRow.partition == str(workspace_id)
    )
    return (await session.execute(statement)).scalar_one()


async def read(
    session: AsyncSession, workspace_id: UUID, after: int, limit: int
) -> list[feeds.FeedRow]:
    """Rows after ``after``, as many as make a page (``limit`` rows, about 8 MB, at least one)."""
    statement = (
        select(
            FeedRow.offset,
            FeedRow.count.label("entries"),
            (func.extract("epoch", FeedRow.at) * 1000).label("at"),
            FeedRow.data,
            FeedRow.drop,
            func.sum(func.length(FeedRow.data)).over(order_by=FeedRow.offset).label("bytes"),
        )
        .where(
            FeedRow.workspace_id == workspace_id,
            FeedRow.partition == str(workspace_id),
            FeedRow.offset > after,
        )
        .order_by(FeedRow.offset)
        .limit(limit)
        .subquery()
    )
    fits = (statement.c.bytes <= feeds.MAX_PAGE_BYTES) | (statement.c.offset == after + 1)
    rows = await session.execute(select(statement).where(fits).order_by(statement.c.offset))
    return [feeds.FeedRow(r.offset, r.entries, int(r.at), r.data, r.drop) for r in rows]


async def partitions(session: AsyncSession) -> list[str]:
    """All feeds there are; a workspace has one from its first event or definition on."""
    statement = select(ConsumerRow.partition).order_by(ConsumerRow.partition)
    return list((await session.execute(statement)).scalars())
