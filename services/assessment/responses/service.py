"""Taking answers: checked against the questionnaire as a whole, stored as a whole or not at all."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.assessments import store as assessments
from services.assessment.assessments.model import Assessment
from services.assessment.errors import (
    AssessmentClosed,
    AssessmentNotFound,
    ResponseExists,
    ResponseNotFound,
)
from services.assessment.idempotency import store as idempotency
from services.assessment.idempotency.key import IdempotencyKey
from services.assessment.questionnaires.library import built_in
from services.assessment.questionnaires.model import Questionnaire
from services.assessment.responses import store
from services.assessment.responses.model import Response, ResponseCreate, ResponsePut
from services.kit.ids import uuid7
from services.kit.problems import FieldError, InvalidRequest


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    assessment_id: UUID,
    body: ResponseCreate,
    key: IdempotencyKey,
    now: datetime,
) -> Response:
    assessment = await _find(session, workspace_id, assessment_id)
    response = Response(
        id=uuid7(),
        assessment_id=assessment_id,
        respondent=body.respondent,
        respondent_group=body.respondent_group,
        answers=body.answers,
        created_at=now,
        updated_at=now,
    )
    digest = key.digest(f"response {assessment_id}", body)
    made = await idempotency.claim(session, workspace_id, key.value, digest, response.id, now)
    if made is not None:
        return await read(session, workspace_id, assessment_id, made)
    _accept(assessment, body)
    if not await store.add(session, workspace_id, response):
        raise await _exists(session, workspace_id, response)
    return response


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    assessment_id: UUID,
    response_id: UUID,
    body: ResponsePut,
    now: datetime,
) -> Response:
    assessment = await _find(session, workspace_id, assessment_id)
    await read(session, workspace_id, assessment_id, response_id)
    _accept(assessment, body)
    await store.replace(
        session, workspace_id, response_id, body.respondent_group, body.answers, now
    )
    return await read(session, workspace_id, assessment_id, response_id)


async def read(
    session: AsyncSession, workspace_id: UUID, assessment_id: UUID, response_id: UUID
) -> Response:
    response = await store.find(session, workspace_id, assessment_id, response_id)
    if response is None:
        raise ResponseNotFound(f"Assessment {assessment_id} has no response {response_id}.")
    return response


def errors_in(questionnaire: Questionnaire, body: ResponsePut) -> list[FieldError]:
    """What in ``body`` does not fit the questionnaire, in the order of the body."""
    errors = []
    groups = [group.id for group in questionnaire.respondent_groups]
    if body.respondent_group not in groups:
        errors.append(_error("#/respondent_group", f"Use one of: {', '.join(groups)}."))
    items = {item.id for item in questionnaire.items}
    seen: set[str] = set()
    for index, answer in enumerate(body.answers):
        pointer = f"#/answers/{index}/item_id"
        if answer.item_id not in items:
            errors.append(_error(pointer, f"{questionnaire.id} has no item {answer.item_id!r}."))
        elif answer.item_id in seen:
            errors.append(_error(pointer, f"{answer.item_id} is answered more than once."))
        seen.add(answer.item_id)
    return errors


def _accept(assessment: Assessment, body: ResponsePut) -> None:
    if assessment.status == "closed":
        raise AssessmentClosed(f"It was closed at {assessment.closed_at}; earlier answers stand.")
    errors = errors_in(built_in()[assessment.questionnaire_id], body)
    if errors:
        raise InvalidRequest(
            "; ".join(f"{error.pointer}: {error.detail}" for error in errors[:3]),
            errors=[error.model_dump() for error in errors],
        )


async def _find(session: AsyncSession, workspace_id: UUID, assessment_id: UUID) -> Assessment:
    assessment = await assessments.find_open_for_answers(session, workspace_id, assessment_id)
    if assessment is None:
        raise AssessmentNotFound(f"Assessment {assessment_id} does not exist.")
    return assessment


async def _exists(session: AsyncSession, workspace_id: UUID, response: Response) -> ResponseExists:
    """A problem that names the earlier response, so that the caller can replace it."""
    earlier = None
    if response.respondent is not None:
        earlier = await store.find_of(
            session, workspace_id, response.assessment_id, response.respondent
        )
    return ResponseExists(
        "This respondent has answered already; replace the response with PUT.",
        errors=[_error("#/respondent", "Has a response in this assessment.").model_dump()],
        response_id=None if earlier is None else str(earlier.id),
    )


def _error(pointer: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer, detail=detail)
