"""Opening and closing assessments."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.assessments import store
from services.assessment.assessments.model import Assessment, AssessmentCreate
from services.assessment.errors import AssessmentNotFound
from services.assessment.idempotency import store as idempotency
from services.assessment.idempotency.key import IdempotencyKey
from services.assessment.questionnaires.library import built_in
from services.assessment.results import service as results
from services.kit.ids import uuid7
from services.kit.problems import InvalidRequest


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    body: AssessmentCreate,
    key: IdempotencyKey,
    now: datetime,
) -> Assessment:
    questionnaire = built_in().get(body.questionnaire_id)
    if questionnaire is None:
        raise InvalidRequest.at(
            "#/questionnaire_id", f"Use one of: {', '.join(sorted(built_in()))}."
        )
    assessment = Assessment(
        id=uuid7(),
        name=body.name,
        questionnaire_id=questionnaire.id,
        questionnaire_version=questionnaire.version,
        scope=body.scope,
        status="open",
        responses=0,
        created_at=now,
        closed_at=None,
    )
    digest = key.digest("assessment", body)
    made = await idempotency.claim(session, workspace_id, key.value, digest, assessment.id, now)
    if made is not None:
        return await read(session, workspace_id, made)
    await store.add(session, workspace_id, assessment)
    return assessment


async def read(session: AsyncSession, workspace_id: UUID, assessment_id: UUID) -> Assessment:
    assessment = await store.find(session, workspace_id, assessment_id)
    if assessment is None:
        raise AssessmentNotFound(f"Assessment {assessment_id} does not exist.")
    return assessment


async def close(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID, now: datetime
) -> Assessment:
    """Keeps the result as it stands and takes no more answers; closing twice changes nothing."""
    assessment = await store.find_for_closing(session, workspace_id, assessment_id)
    if assessment is None:
        raise AssessmentNotFound(f"Assessment {assessment_id} does not exist.")
    if assessment.status == "open":
        await results.keep(session, workspace_id, assessment, now)
        await store.close(session, workspace_id, assessment_id, now)
    return await read(session, workspace_id, assessment_id)
