"""HTTP of assessments."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter

from services.assessment.assessments import service, store
from services.assessment.assessments.model import Assessment, AssessmentCreate
from services.assessment.errors import AssessmentNotFound, IdempotencyKeyReused
from services.assessment.idempotency.key import IdempotencyHeader
from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, Paging, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, MalformedBody, problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(
    prefix="/api/v1/assessments",
    tags=["assessments"],
    route_class=StrictRoute,
    responses=problem_responses(Unauthenticated, Forbidden),
)


@router.post(
    "",
    summary="Open an assessment",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(InvalidRequest, IdempotencyKeyReused, MalformedBody),
)
async def create_assessment(
    body: AssessmentCreate, caller: UserCaller, session: Session, key: IdempotencyHeader
) -> Assessment:
    """It takes answers at once and until it is closed."""
    return await service.create(session, caller.workspace_id, body, key, datetime.now(UTC))


@router.get(
    "", summary="List assessments, newest first", responses=problem_responses(InvalidRequest)
)
async def list_assessments(
    caller: UserCaller, session: Session, paging: PagingParams
) -> Page[Assessment]:
    """All assessments of the workspace, open and closed."""
    before = _id_in_cursor(paging)
    found = await store.newest_first(session, caller.workspace_id, paging.limit + 1, before)
    shown = found[: paging.limit]
    return Page(
        items=shown,
        next_cursor=encode_cursor(str(shown[-1].id)) if len(found) > len(shown) else None,
    )


@router.get(
    "/{assessment_id}",
    summary="Read an assessment",
    responses=problem_responses(AssessmentNotFound, InvalidRequest),
)
async def read_assessment(assessment_id: UUID, caller: UserCaller, session: Session) -> Assessment:
    """One assessment and how many people have answered it."""
    return await service.read(session, caller.workspace_id, assessment_id)


@router.post(
    "/{assessment_id}/close",
    summary="Close an assessment for good",
    responses=problem_responses(AssessmentNotFound, InvalidRequest),
)
async def close_assessment(assessment_id: UUID, caller: UserCaller, session: Session) -> Assessment:
    """Ends an assessment: no more answers, and its results stay as they are now for ever.

    Closing it again changes nothing.
    """
    return await service.close(session, caller.workspace_id, assessment_id, datetime.now(UTC))


def _id_in_cursor(paging: Paging) -> UUID | None:
    after = paging.after(str)
    if after is None:
        return None
    try:
        return UUID(str(after[0]))
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from error
