"""SQL for the results kept of closed assessments."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.results.model import Results
from services.assessment.tables import ResultRow


async def add(session: AsyncSession, workspace_id: UUID, results: Results, now: datetime) -> None:
    await session.execute(
        insert(ResultRow).values(
            workspace_id=workspace_id,
            assessment_id=results.assessment_id,
            body=results.model_dump(mode="json"),
            created_at=now,
        )
    )


async def find(session: AsyncSession, workspace_id: UUID, assessment_id: UUID) -> Results | None:
    body = await session.scalar(
        select(ResultRow.body).where(
            ResultRow.workspace_id == workspace_id, ResultRow.assessment_id == assessment_id
        )
    )
    return None if body is None else Results.model_validate(body)
