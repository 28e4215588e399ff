"""SQL of stage models, who is in which stage, and how people moved."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.stages.tables import StageModelRow, StageRow

_HISTORY = text("""
SELECT change_id, model_id, from_stage, to_stage, at FROM stage_change
WHERE workspace_id = :workspace_id
  AND (profile_id = :profile_id OR profile_id IN (
    SELECT alias_id FROM alias
    WHERE workspace_id = :workspace_id AND profile_id = :profile_id))
  AND change_id < :before
ORDER BY change_id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """``definition``: ``{"name", "stages": [{"id", "entry"}]}``; ``counts`` (people, of which
    stalled) by stage id."""

    model_id: UUID
    definition: dict[str, Any]
    state: str
    published_at: datetime
    counts: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class StoredChange:
    change_id: UUID
    model_id: UUID
    from_stage: str | None
    to_stage: str | None
    at: datetime


async def models(session: AsyncSession, workspace_id: UUID) -> list[StoredModel]:
    """All stage models of a workspace, the first published first."""
    counted = (
        select(
            StageRow.model_id,
            StageRow.stage_id,
            func.count(),
            func.count().filter(StageRow.stalled),
        )
        .where(StageRow.workspace_id == workspace_id)
        .group_by(StageRow.model_id, StageRow.stage_id)
    )
    counts: dict[UUID, dict[str, tuple[int, int]]] = {}
    for model_id, stage_id, count, stalled in await session.execute(counted):
        counts.setdefault(model_id, {})[stage_id] = (count, stalled)
    statement = (
        select(
            StageModelRow.model_id,
            StageModelRow.definition,
            StageModelRow.state,
            StageModelRow.published_at,
        )
        .where(StageModelRow.workspace_id == workspace_id)
        .order_by(StageModelRow.published_at, StageModelRow.model_id)
    )
    return [
        StoredModel(**r._mapping, counts=counts.get(r.model_id, {}))
        for r in await session.execute(statement)
    ]


async def current(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID
) -> list[tuple[UUID, str, datetime, bool]]:
    """(model id, stage id, since, whether stalled) of a profile."""
    statement = (
        select(StageRow.model_id, StageRow.stage_id, StageRow.since, StageRow.stalled)
        .where(StageRow.workspace_id == workspace_id, StageRow.profile_id == profile_id)
        .order_by(StageRow.model_id)
    )
    return [(r.model_id, r.stage_id, r.since, r.stalled) for r in await session.execute(statement)]


async def history(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, before: UUID, limit: int
) -> list[StoredChange]:
    """Changes of a profile and of those merged into it, the latest first."""
    parameters = {
        "workspace_id": workspace_id,
        "profile_id": profile_id,
        "before": before,
        "limit": limit,
    }
    return [StoredChange(**r._mapping) for r in await session.execute(_HISTORY, parameters)]


async def remove(session: AsyncSession, workspace_id: UUID, model_id: UUID) -> bool:
    """Delete a model and who is where in it; the history stays. Whether there was one."""
    await session.execute(
        delete(StageRow).where(StageRow.workspace_id == workspace_id, StageRow.model_id == model_id)
    )
    gone = await session.execute(
        delete(StageModelRow)
        .where(StageModelRow.workspace_id == workspace_id, StageModelRow.model_id == model_id)
        .returning(StageModelRow.model_id)
    )
    return gone.one_or_none() is not None
