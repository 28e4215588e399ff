"""SQL for responses."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.responses.model import Answer, Given, Response
from services.assessment.tables import ResponseRow

_COLUMNS = (
    ResponseRow.id,
    ResponseRow.assessment_id,
    ResponseRow.respondent,
    ResponseRow.respondent_group,
    ResponseRow.answers,
    ResponseRow.created_at,
    ResponseRow.updated_at,
)


async def add(session: AsyncSession, workspace_id: UUID, response: Response) -> bool:
    """False where this respondent has a response in this assessment already."""
    added = await session.scalar(
        insert(ResponseRow)
        .values(
            workspace_id=workspace_id,
            id=response.id,
            assessment_id=response.assessment_id,
            respondent=response.respondent,
            respondent_group=response.respondent_group,
            answers=_column_of(response.answers),
            created_at=response.created_at,
            updated_at=response.updated_at,
        )
        .on_conflict_do_nothing(constraint="uq_response_workspace_id_assessment_id_respondent")
        .returning(ResponseRow.id)
    )
    return added is not None


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    response_id: UUID,
    respondent_group: str,
    answers: list[Answer],
    now: datetime,
) -> None:
    await session.execute(
        update(ResponseRow)
        .where(ResponseRow.workspace_id == workspace_id, ResponseRow.id == response_id)
        .values(respondent_group=respondent_group, answers=_column_of(answers), updated_at=now)
    )


async def find(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID, response_id: UUID
) -> Response | None:
    statement = _of_assessment(workspace_id, assessment_id).where(ResponseRow.id == response_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _response(row)


async def find_of(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID, respondent: str
) -> Response | None:
    statement = _of_assessment(workspace_id, assessment_id).where(
        ResponseRow.respondent == respondent
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _response(row)


async def of_assessment(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID
) -> list[Given]:
    """All of them, without an order."""
    statement = select(
        ResponseRow.respondent_group, ResponseRow.answers, ResponseRow.updated_at
    ).where(ResponseRow.workspace_id == workspace_id, ResponseRow.assessment_id == assessment_id)
    return [
        Given(
            respondent_group=group,
            scores={a["item_id"]: a["score"] for a in answers if "score" in a},
            excluded={a["item_id"]: a["excluded"] for a in answers if "excluded" in a},
            updated_at=updated_at,
        )
        for group, answers, updated_at in await session.execute(statement)
    ]


def _of_assessment(workspace_id: UUID, assessment_id: UUID) -> Select[Any]:
    return select(*_COLUMNS).where(
        ResponseRow.workspace_id == workspace_id, ResponseRow.assessment_id == assessment_id
    )


def _column_of(answers: list[Answer]) -> list[dict[str, Any]]:
    return [answer.model_dump(exclude_none=True) for answer in answers]


def _response(row: Row[Any]) -> Response:
    return Response(
        id=row.id,
        assessment_id=row.assessment_id,
        respondent=row.respondent,
        respondent_group=row.respondent_group,
        answers=[Answer(**answer) for answer in row.answers],
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
