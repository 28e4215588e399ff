"""SQL of the change feed."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit import feeds
from services.profile.feed.tables import FeedRow
from services.profile.stream.tables import ConsumerRow

MAX_ENTRIES = 5000
"""Entries per row: what a reader takes into memory at once."""


async def append(session: AsyncSession, workspace_id: UUID, entries: Sequence[Change]) -> int:
    """Append entries in order; the offset of the last row (of the last one before, if none)."""
    partition = str(workspace_id)
    await feeds.lock_partition(session, "feed", partition)
    offset = await end(session, workspace_id)
    rows: list[dict[str, Any]] = []
    for start in range(0, len(entries), MAX_ENTRIES):
        block = entries[start : start + MAX_ENTRIES]
        rows.append(
            {
                "workspace_id": workspace_id,
                "partition": partition,
                "offset": offset + 1 + len(rows),
                "count": len(block),
                "at": func.now(),
                "data": await asyncio.to_thread(feeds.pack, block),
            }
        )
    for row in rows:
        await session.execute(insert(FeedRow).values(row))
    return offset + len(rows)


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
