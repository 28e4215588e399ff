"""HTTP of the responses of an assessment."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from services.assessment.errors import (
    AssessmentClosed,
    AssessmentNotFound,
    IdempotencyKeyReused,
    ResponseExists,
    ResponseNotFound,
)
from services.assessment.idempotency.key import IdempotencyHeader
from services.assessment.responses import service
from services.assessment.responses.model import Response, ResponseCreate, ResponsePut
from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, MalformedBody, problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(
    prefix="/api/v1/assessments/{assessment_id}/responses",
    tags=["assessments"],
    route_class=StrictRoute,
    responses=problem_responses(Unauthenticated, Forbidden),
)


@router.post(
    "",
    summary="Answer an assessment",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(
        AssessmentNotFound,
        AssessmentClosed,
        ResponseExists,
        InvalidRequest,
        IdempotencyKeyReused,
        MalformedBody,
    ),
)
async def create_response(
    assessment_id: UUID,
    body: ResponseCreate,
    caller: UserCaller,
    session: Session,
    key: IdempotencyHeader,
) -> Response:
    """One person's answers, whole or in part. A body with one wrong answer stores none."""
    now = datetime.now(UTC)
    return await service.create(session, caller.workspace_id, assessment_id, body, key, now)


@router.put(
    "/{response_id}",
    summary="Replace the answers of a response",
    responses=problem_responses(
        AssessmentNotFound, AssessmentClosed, ResponseNotFound, InvalidRequest, MalformedBody
    ),
)
async def replace_response(
    assessment_id: UUID,
    response_id: UUID,
    body: ResponsePut,
    caller: UserCaller,
    session: Session,
) -> Response:
    """Saves and continues: the body replaces all earlier answers of this response."""
    now = datetime.now(UTC)
    return await service.replace(
        session, caller.workspace_id, assessment_id, response_id, body, now
    )


@router.get(
    "/{response_id}",
    summary="Read a response",
    responses=problem_responses(AssessmentNotFound, ResponseNotFound, InvalidRequest),
)
async def read_response(
    assessment_id: UUID, response_id: UUID, caller: UserCaller, session: Session
) -> Response:
    """The answers given so far under one response."""
    return await service.read(session, caller.workspace_id, assessment_id, response_id)
