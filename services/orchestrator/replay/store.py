"""SQL for replays."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.replay.tables import ReplayRow
from services.orchestrator.times import from_ms

_COLUMNS = (
    ReplayRow.id,
    ReplayRow.journey_id,
    ReplayRow.request,
    ReplayRow.state,
    ReplayRow.result,
    ReplayRow.problem,
    ReplayRow.created_at,
    ReplayRow.finished_at,
)


async def add(session: AsyncSession, values: dict[str, Any]) -> None:
    """Does nothing where an earlier call with the same id made it."""
    await session.execute(
        insert(ReplayRow).values(**values).on_conflict_do_nothing(index_elements=["id"])
    )


async def find(session: AsyncSession, journey_id: UUID, replay_id: UUID) -> Row[Any] | None:
    statement = select(*_COLUMNS).where(
        ReplayRow.id == replay_id, ReplayRow.journey_id == journey_id
    )
    return (await session.execute(statement)).one_or_none()


async def page(
    session: AsyncSession, journey_id: UUID, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    statement = select(*_COLUMNS).where(ReplayRow.journey_id == journey_id)
    if after is not None:
        statement = statement.where(ReplayRow.id < after)
    return (await session.execute(statement.order_by(ReplayRow.id.desc()).limit(limit))).all()


async def claim(session: AsyncSession, now: int, lease_ms: int) -> Row[Any] | None:
    """Take the first replay that is queued, or whose runner died."""
    first = (
        select(ReplayRow.id)
        .where(ReplayRow.run_at <= from_ms(now))
        .order_by(ReplayRow.run_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    rows = await session.execute(
        update(ReplayRow)
        .where(ReplayRow.id == first)
        .values(state="running", run_at=from_ms(now + lease_ms))
        .returning(ReplayRow.id, ReplayRow.journey_id, ReplayRow.graph, ReplayRow.request)
    )
    return rows.one_or_none()


async def finish(
    session: AsyncSession,
    replay_id: UUID,
    state: str,
    *,
    result: dict[str, Any] | None = None,
    problem: str | None = None,
) -> None:
    await session.execute(
        update(ReplayRow)
        .where(ReplayRow.id == replay_id)
        .values(state=state, result=result, problem=problem, run_at=None, finished_at=func.now())
    )


async def release(session: AsyncSession, replay_id: UUID, at: int) -> None:
    """Give it back, to be run again at ``at``."""
    await session.execute(
        update(ReplayRow)
        .where(ReplayRow.id == replay_id)
        .values(state="queued", run_at=from_ms(at))
    )
