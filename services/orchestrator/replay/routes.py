"""Replays over HTTP."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import JourneyInvalid, JourneyNotFound, ReplayNotFound
from services.orchestrator.messages import store as messages
from services.orchestrator.messages.model import FINAL
from services.orchestrator.paging import after_id, page_of
from services.orchestrator.replay import service, store
from services.orchestrator.replay.model import Deliver, Replay, ReplayCreate, ReplayResult

router = APIRouter(
    prefix="/api/v1/journeys/{journey_id}",
    tags=["journeys"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.post(
    "/replay",
    status_code=HTTPStatus.ACCEPTED,
    summary="Run the draft over past events in virtual time",
    responses=problem_responses(JourneyNotFound, JourneyInvalid),
)
async def create_replay(
    journey_id: UUID,
    body: ReplayCreate,
    new_id: NewId,
    request: Request,
    caller: UserCaller,
    session: Session,
    deliver: Deliver = "none",
) -> Replay:
    """Runs in the background; poll `/replays/{replay_id}`. Live participants are never touched.

    `deliver=sink` really sends, each message once, and only through channels marked as sinks.
    """
    row = await service.create(session, caller.workspace_id, journey_id, new_id, body, deliver)
    request.state.workers.wake_replays(caller.workspace_id)
    return await _view(session, row)


@router.get(
    "/replays", summary="List replays, newest first", responses=problem_responses(JourneyNotFound)
)
async def list_replays(journey_id: UUID, session: Session, paging: PagingParams) -> Page[Replay]:
    """With their results, as far as they have any."""
    rows = await store.page(session, journey_id, after_id(paging), paging.limit + 1)
    return page_of([await _view(session, row) for row in rows], paging.limit)


@router.get(
    "/replays/{replay_id}",
    summary="Read a replay",
    responses=problem_responses(ReplayNotFound),
)
async def read_replay(journey_id: UUID, replay_id: UUID, session: Session) -> Replay:
    """Its state and, once virtual time is over, its numbers."""
    row = await store.find(session, journey_id, replay_id)
    if row is None:
        raise ReplayNotFound(f"Replay {replay_id} does not exist.")
    return await _view(session, row)


async def _view(session: AsyncSession, row: Row[Any]) -> Replay:
    result = None if row.result is None else ReplayResult.model_validate(row.result)
    state = row.state
    if result is not None and row.request["deliver"] == "sink":
        result.messages = await messages.states_of_replay(session, row.id)
        if any(each not in (*FINAL, "unknown") for each in result.messages):
            state = "delivering"
    return Replay(
        id=row.id,
        journey_id=row.journey_id,
        deliver=row.request["deliver"],
        state=state,
        request=ReplayCreate.model_validate(row.request["body"]),
        result=result,
        problem=row.problem,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
