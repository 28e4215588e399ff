"""Entries over HTTP."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.entries import service
from services.orchestrator.entries.model import Entries, EntryCreate
from services.orchestrator.errors import JourneyNotFound, JourneyStateConflict

router = APIRouter(
    prefix="/api/v1/journeys/{journey_id}/entries",
    tags=["journeys"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.post(
    "",
    summary="Let people into a journey",
    responses=problem_responses(JourneyNotFound, JourneyStateConflict, Unavailable),
)
async def create_entries(
    journey_id: UUID, body: EntryCreate, new_id: NewId, request: Request, caller: UserCaller
) -> Entries:
    """For journeys whose entry is of kind `api`. Up to 1,000 people are judged one by one: by the
    audience, by whether they were in it before, by the cap. With an `Idempotency-Key` the same
    request again lets nobody in a second time."""
    workers = request.state.workers
    answer = await service.enrol(
        request.state.sessionmaker,
        request.state.profile,
        workers.engine.executor.library,
        caller.workspace_id,
        journey_id,
        new_id,
        body,
        workers.engine.clock(),
    )
    workers.wake_due(caller.workspace_id)
    return answer
