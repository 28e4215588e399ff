"""Interventions over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import JourneyNotFound
from services.orchestrator.interventions import service, store
from services.orchestrator.interventions.model import Intervention, InterventionCreate
from services.orchestrator.journeys import service as journeys
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/journeys/{journey_id}/interventions",
    tags=["journeys"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden, JourneyNotFound),
)


@router.post("", status_code=HTTPStatus.CREATED, summary="Move people by hand")
async def intervene(
    journey_id: UUID,
    body: InterventionCreate,
    new_id: NewId,
    request: Request,
    caller: UserCaller,
    session: Session,
    after: BackgroundTasks,
) -> Intervention:
    """Lets people out, moves them to another node, or has the stuck looked at again: those whom
    `who` means, at most 10,000 at once. It is told to the log like any other step."""
    await journeys.get(session, journey_id)
    workers = request.state.workers
    done = await service.intervene(
        session,
        caller.workspace_id,
        workers.engine.executor.library,
        journey_id,
        new_id,
        body,
        caller.subject,
        workers.engine.clock(),
    )
    # After the commit, or the executor would look too early.
    after.add_task(workers.wake_due, caller.workspace_id)
    return done


@router.get("", summary="List what was done by hand, newest first")
async def list_interventions(
    journey_id: UUID, session: Session, paging: PagingParams
) -> Page[Intervention]:
    """Who did what to how many, when and why."""
    await journeys.get(session, journey_id)
    rows = await store.page(session, journey_id, after_id(paging), paging.limit + 1)
    return page_of([Intervention.model_validate(row) for row in rows], paging.limit)
