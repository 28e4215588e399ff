"""SQL for assessments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.assessments.model import Assessment, Scope
from services.assessment.tables import AssessmentRow, ResponseRow

_RESPONSES = (
    select(func.count())
    .where(
        ResponseRow.workspace_id == AssessmentRow.workspace_id,
        ResponseRow.assessment_id == AssessmentRow.id,
    )
    .scalar_subquery()
)
_COLUMNS = (
    AssessmentRow.id,
    AssessmentRow.name,
    AssessmentRow.questionnaire_id,
    AssessmentRow.questionnaire_version,
    AssessmentRow.scope_kind,
    AssessmentRow.scope_name,
    AssessmentRow.created_at,
    AssessmentRow.closed_at,
    _RESPONSES.label("responses"),
)


async def add(session: AsyncSession, workspace_id: UUID, assessment: Assessment) -> None:
    await session.execute(
        insert(AssessmentRow).values(
            workspace_id=workspace_id,
            id=assessment.id,
            name=assessment.name,
            questionnaire_id=assessment.questionnaire_id,
            questionnaire_version=assessment.questionnaire_version,
            scope_kind=assessment.scope.kind,
            scope_name=assessment.scope.name,
            created_at=assessment.created_at,
        )
    )


async def find(session: AsyncSession, workspace_id: UUID, assessment_id: UUID) -> Assessment | None:
    return await _one(session, _of_workspace(workspace_id, assessment_id))


async def find_open_for_answers(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID
) -> Assessment | None:
    """Also keeps it from being closed until the transaction ends."""
    statement = _of_workspace(workspace_id, assessment_id).with_for_update(read=True)
    return await _one(session, statement)


async def find_for_closing(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID
) -> Assessment | None:
    """Also waits for answers under way and holds new ones back until the transaction ends."""
    return await _one(session, _of_workspace(workspace_id, assessment_id).with_for_update())


async def close(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID, now: datetime
) -> None:
    await session.execute(
        update(AssessmentRow)
        .where(AssessmentRow.workspace_id == workspace_id, AssessmentRow.id == assessment_id)
        .values(closed_at=now)
    )


async def newest_first(
    session: AsyncSession,
    workspace_id: UUID,
    limit: int,
    before: UUID | None = None,
    scope_kind: str | None = None,
) -> list[Assessment]:
    """At most ``limit`` assessments older than ``before``."""
    statement = (
        select(*_COLUMNS)
        .where(AssessmentRow.workspace_id == workspace_id)
        .order_by(AssessmentRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(AssessmentRow.id < before)
    if scope_kind is not None:
        statement = statement.where(AssessmentRow.scope_kind == scope_kind)
    return [_assessment(row) for row in await session.execute(statement)]


def _of_workspace(workspace_id: UUID, assessment_id: UUID) -> Select[Any]:
    return select(*_COLUMNS).where(
        AssessmentRow.workspace_id == workspace_id, AssessmentRow.id == assessment_id
    )


async def _one(session: AsyncSession, statement: Select[Any]) -> Assessment | None:
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _assessment(row)


def _assessment(row: Row[Any]) -> Assessment:
    return Assessment(
        id=row.id,
        name=row.name,
        questionnaire_id=row.questionnaire_id,
        questionnaire_version=row.questionnaire_version,
        scope=Scope(kind=row.scope_kind, name=row.scope_name),
        status="open" if row.closed_at is None else "closed",
        responses=row.responses,
        created_at=row.created_at,
        closed_at=row.closed_at,
    )
