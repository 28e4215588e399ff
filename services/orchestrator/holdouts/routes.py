"""Holdouts over HTTP: the global one, each journey's own, and the lift they show."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import JourneyNotFound
from services.orchestrator.holdouts import service
from services.orchestrator.holdouts.model import Holdout, HoldoutPut, LiftReport
from services.orchestrator.journeys import service as journeys

router = APIRouter(
    prefix="/api/v1",
    tags=["holdouts"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)
_JOURNEY = problem_responses(JourneyNotFound)


@router.get("/holdouts/global", summary="Read the global holdout")
async def read_global_holdout(caller: UserCaller, session: Session) -> Holdout:
    """With who was in it when."""
    return await service.read(session, caller.workspace_id, caller.workspace_id)


@router.put("/holdouts/global", summary="Set the global holdout")
async def set_global_holdout(
    body: HoldoutPut, request: Request, caller: UserCaller, session: Session
) -> Holdout:
    """People in it enter no journey but transactional ones. Those already inside finish.

    A raised share keeps those who were in it and adds others; a lowered one lets some go.
    """
    now = request.state.workers.engine.clock()
    workspace_id = caller.workspace_id
    return await service.change(session, workspace_id, workspace_id, body.buckets, now)


@router.get(
    "/journeys/{journey_id}/holdout", summary="Read a journey's own holdout", responses=_JOURNEY
)
async def read_journey_holdout(journey_id: UUID, caller: UserCaller, session: Session) -> Holdout:
    """With who was in it when."""
    await journeys.get(session, journey_id)
    return await service.read(session, caller.workspace_id, journey_id)


@router.put(
    "/journeys/{journey_id}/holdout", summary="Set a journey's own holdout", responses=_JOURNEY
)
async def set_journey_holdout(
    journey_id: UUID, body: HoldoutPut, request: Request, caller: UserCaller, session: Session
) -> Holdout:
    """Drawn from people outside the global holdout, transactional journeys' too."""
    await journeys.get(session, journey_id)
    now = request.state.workers.engine.clock()
    return await service.change(session, caller.workspace_id, journey_id, body.buckets, now)


@router.get("/journeys/{journey_id}/lift", summary="What the journey changes", responses=_JOURNEY)
async def read_lift(journey_id: UUID, session: Session) -> LiftReport:
    """Those let in against those held out, counted alike from the moment each would have entered.

    The intervals stay right however often you look.
    """
    return await service.lift(session, await journeys.get(session, journey_id))
