"""Results while an assessment is open, and the ones kept when it closes."""

import asyncio
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.assessments.model import Assessment
from services.assessment.questionnaires.library import built_in
from services.assessment.responses import store as responses
from services.assessment.results import store
from services.assessment.results.compute import compute
from services.assessment.results.model import Results


async def read(session: AsyncSession, workspace_id: UUID, assessment: Assessment) -> Results:
    kept = await store.find(session, workspace_id, assessment.id)
    return kept or await _compute(session, workspace_id, assessment, "live")


async def keep(
    session: AsyncSession, workspace_id: UUID, assessment: Assessment, now: datetime
) -> None:
    results = await _compute(session, workspace_id, assessment, "final")
    await store.add(session, workspace_id, results, now)


async def _compute(
    session: AsyncSession,
    workspace_id: UUID,
    assessment: Assessment,
    status: Literal["live", "final"],
) -> Results:
    questionnaire = built_in()[assessment.questionnaire_id]
    answered = await responses.of_assessment(session, workspace_id, assessment.id)
    # Exact arithmetic over a large panel takes long enough to hold up other requests.
    return await asyncio.to_thread(compute, questionnaire, assessment.id, answered, status)
