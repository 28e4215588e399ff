"""The send ledger over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy import Row

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import MessageNotFound, MessageStateConflict
from services.orchestrator.messages import service, store
from services.orchestrator.messages.model import Message, MessageState, Resolution
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/messages",
    tags=["messages"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.get("", summary="List messages")
async def list_messages(
    session: Session,
    paging: PagingParams,
    journey_id: UUID | None = None,
    participant_id: UUID | None = None,
    profile_id: UUID | None = None,
    channel_id: UUID | None = None,
    replay_id: UUID | None = None,
    node: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    state: MessageState | None = None,
) -> Page[Message]:
    """Every message a step led to, those that were not sent with their reason."""
    filters = {
        "journey_id": journey_id,
        "participant_id": participant_id,
        "profile_id": profile_id,
        "channel_id": channel_id,
        "replay_id": replay_id,
        "node": node,
        "state": state,
    }
    rows = await store.page(session, after_id(paging), paging.limit + 1, filters)
    return page_of([Message.model_validate(row) for row in rows], paging.limit)


@router.get("/{message_id}", summary="Read a message", responses=problem_responses(MessageNotFound))
async def read_message(message_id: UUID, session: Session) -> Message:
    """Its state, the reason if it was not sent, and what it said."""
    return Message.model_validate(await service.get(session, message_id))


@router.post(
    "/{message_id}/resolve",
    summary="Settle a message whose answer was lost",
    responses=problem_responses(MessageNotFound, MessageStateConflict),
)
async def resolve_message(
    message_id: UUID, body: Resolution, caller: UserCaller, session: Session
) -> Message:
    """Nobody could tell whether an `unknown` message arrived; say what you found out."""
    row: Row[tuple[object, ...]] = await service.resolve(
        session, caller.workspace_id, message_id, body.state, body.note
    )
    return Message.model_validate(row)
