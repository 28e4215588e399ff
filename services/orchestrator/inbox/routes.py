"""The inbox over HTTP: tokens for back ends, everything else for front ends."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import PagingParams
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.errors import InboxItemNotFound, PersonNotFound
from services.orchestrator.inbox import service, store, stream
from services.orchestrator.inbox.model import Inbox, InboxItem, InboxToken, InboxTokenCreate
from services.orchestrator.paging import after_id, page_of

token_router = APIRouter(
    prefix="/api/v1/inbox",
    tags=["inbox"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)
router = APIRouter(
    prefix="/v1/inbox",
    tags=["inbox"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@token_router.post(
    "/tokens",
    status_code=HTTPStatus.CREATED,
    summary="Let a front end show a person's inbox",
    responses=problem_responses(PersonNotFound, Unavailable),
)
async def create_inbox_token(
    body: InboxTokenCreate, request: Request, caller: UserCaller
) -> InboxToken:
    """For your back end, which knows who is signed in: hand the token to the front end. After a
    merge of the person ask for another one."""
    state = request.state
    found = await facts_of(state.profile, caller.workspace_id, [body.profile_id])
    person = found[body.profile_id]
    if not person.exists:
        raise PersonNotFound(f"There is no profile {body.profile_id}.")
    expires_s = state.workers.engine.clock() // 1_000 + body.expires_in_seconds
    return InboxToken(
        token=state.tokens.person(caller.workspace_id, person.profile_id, expires_s),
        profile_id=person.profile_id,
        expires_at=datetime.fromtimestamp(expires_s, UTC),
    )


class Reader(NamedTuple):
    workspace_id: UUID
    profile_id: UUID


def _reader(
    request: Request,
    caller: UserCaller,
    x_person_token: Annotated[
        str | None, Header(max_length=1_000, description="From `POST /api/v1/inbox/tokens`.")
    ] = None,
    person_token: Annotated[
        str | None,
        Query(max_length=1_000, description="The same, where a client can send no headers."),
    ] = None,
) -> Reader:
    state = request.state
    now_s = state.workers.engine.clock() // 1_000
    found = state.tokens.read_person(x_person_token or person_token or "", now_s)
    if found is None or found[0] != caller.workspace_id:
        raise Unauthenticated("A person's token is needed, and this is none, or has expired.")
    return Reader(*found)


Person = Annotated[Reader, Depends(_reader)]


@router.get("", summary="Read an inbox")
async def read_inbox(session: Session, paging: PagingParams, person: Person) -> Inbox:
    """Newest first, without what is archived. Called with a write key and the person's token."""
    rows = await store.page(session, person.profile_id, after_id(paging), paging.limit + 1)
    page = page_of([InboxItem.model_validate(row) for row in rows], paging.limit)
    unread = await store.unread(session, person.profile_id)
    return Inbox(items=page.items, next_cursor=page.next_cursor, unread=unread)


@router.post(
    "/{item_id}/read", summary="Mark as read", responses=problem_responses(InboxItemNotFound)
)
async def read_item(item_id: UUID, request: Request, person: Person) -> InboxItem:
    """The first time it is told to the log as `Message Opened`."""
    return await _act(request, person, item_id, "read")


@router.post(
    "/{item_id}/click", summary="Mark as clicked", responses=problem_responses(InboxItemNotFound)
)
async def click_item(item_id: UUID, request: Request, person: Person) -> InboxItem:
    """For when the person follows the item's `url`: marks it as read, too, and is told to the log
    as `Message Clicked`."""
    return await _act(request, person, item_id, "click")


@router.post(
    "/{item_id}/archive", summary="Put away", responses=problem_responses(InboxItemNotFound)
)
async def archive_item(item_id: UUID, request: Request, person: Person) -> InboxItem:
    """It is in no list any more and counts as unread no more."""
    return await _act(request, person, item_id, "archive")


@router.get(
    "/stream",
    summary="Follow an inbox",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
)
async def follow_inbox(
    request: Request,
    person: Person,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,18}$", description="Browsers send it by themselves.")
    ] = None,
) -> StreamingResponse:
    """`ready` at once; an `item` as it came or was marked, then `unread` with the count; a comment
    every 15 seconds. Comes back with `Last-Event-ID` and misses nothing. Ends when the platform
    stops: connect again."""
    state = request.state
    after = None if last_event_id is None else int(last_event_id)
    found = stream.events(state.sessionmaker, state.inbox_bell, *person, after)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(found, media_type="text/event-stream", headers=headers)


async def _act(
    request: Request, person: Reader, item_id: UUID, action: service.Action
) -> InboxItem:
    state = request.state
    now = state.workers.engine.clock()
    async with workspace_tx(state.sessionmaker, person.workspace_id) as session:
        item = await service.act(session, *person, item_id, action, now)
    state.inbox_bell.ring(service.bell(*person))
    return item
