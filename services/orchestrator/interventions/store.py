"""SQL of interventions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.interventions.model import Selection
from services.orchestrator.interventions.tables import InterventionRow
from services.orchestrator.times import from_ms


async def chosen(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    who: Selection,
    limit: int,
    now: int,
) -> list[UUID]:
    """Ids of those inside the journey whom the selection means, those due first."""
    since = None if who.overdue_seconds is None else now - 1_000 * who.overdue_seconds
    rows = await session.scalars(
        text(
            """
            SELECT p.id FROM participant p JOIN journey_version v ON v.id = p.version_id
            WHERE p.workspace_id = :ws AND p.journey_id = :journey AND p.run_at IS NOT NULL
                AND (CAST(:ids AS uuid[]) IS NULL OR p.id = ANY(CAST(:ids AS uuid[])))
                AND (CAST(:profiles AS uuid[]) IS NULL
                    OR p.profile_id = ANY(CAST(:profiles AS uuid[])))
                AND (CAST(:node AS text) IS NULL OR p.node = :node)
                AND (CAST(:version AS int) IS NULL OR v.number = :version)
                AND (CAST(:since AS timestamptz) IS NULL OR p.due_at <= :since)
            ORDER BY p.run_at, p.id LIMIT :limit
            """
        ),
        {
            "ws": workspace_id,
            "journey": journey_id,
            "ids": who.participant_ids,
            "profiles": who.profile_ids,
            "node": who.node,
            "version": who.version,
            "since": None if since is None else from_ms(since),
            "limit": limit,
        },
    )
    return list(rows)


async def look_again(
    session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID], now: int
) -> None:
    """Due at once; whoever holds a lease of one of them loses it."""
    await session.execute(
        text(
            "UPDATE participant SET run_at = :now, fence = fence + 1 "
            "WHERE workspace_id = :ws AND id = ANY(CAST(:ids AS uuid[]))"
        ),
        {"ws": workspace_id, "ids": list(ids), "now": from_ms(now)},
    )


async def add(session: AsyncSession, values: dict[str, Any]) -> None:
    await session.execute(insert(InterventionRow).values(**values))


async def find(session: AsyncSession, id: UUID) -> Row[Any] | None:
    table = InterventionRow.__table__
    return (await session.execute(select(table).where(table.c.id == id))).one_or_none()


async def page(
    session: AsyncSession, journey_id: UUID, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first."""
    table = InterventionRow.__table__
    statement = select(table).where(table.c.journey_id == journey_id)
    if after is not None:
        statement = statement.where(table.c.id < after)
    return (await session.execute(statement.order_by(table.c.id.desc()).limit(limit))).all()
