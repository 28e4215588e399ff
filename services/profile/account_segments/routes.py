"""Segments of accounts over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.account_segments import audience, service, store
from services.profile.account_segments.models import (
    AccountInSegment,
    AccountInSegmentPage,
    AccountSegment,
    AccountSegmentCreate,
)
from services.profile.account_segments.store import StoredAccountSegment
from services.profile.accounts.routes import after_id
from services.profile.clock import to_ms
from services.profile.errors import AccountSegmentNameTaken, AccountSegmentNotFound

router = APIRouter(
    prefix="/api/v1/account-segments",
    tags=["accounts"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create a segment of accounts",
    responses=problem_responses(AccountSegmentNameTaken),
)
async def create_account_segment(
    body: AccountSegmentCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> AccountSegment:
    """Accounts it holds for are in it at once, each with an `account.segment_entered`; from then on
    they enter and leave in real time, as they, their people and the people's segments change.
    """
    now_ms = to_ms(request.state.clock.now())
    made = await service.create(session, caller.workspace_id, body, now_ms)
    after.add_task(request.state.bell.ring, str(caller.workspace_id))
    return _wire(made)


@router.get("", summary="List segments of accounts, oldest first")
async def list_account_segments(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[AccountSegment]:
    start, limit = after_id(paging), paging.limit
    found = await store.page(session, caller.workspace_id, start, limit + 1)
    shown = list(map(_wire, found[:limit]))
    cursor = encode_cursor(str(shown[-1].id)) if len(found) > limit else None
    return Page(items=shown, next_cursor=cursor)


@router.get(
    "/{segment_id}",
    summary="Read a segment of accounts",
    responses=problem_responses(AccountSegmentNotFound),
)
async def read_account_segment(
    segment_id: UUID, session: Session, caller: UserCaller
) -> AccountSegment:
    return _wire(await service.read(session, caller.workspace_id, segment_id))


@router.put(
    "/{segment_id}",
    summary="Replace a segment of accounts",
    responses=problem_responses(AccountSegmentNotFound, AccountSegmentNameTaken),
)
async def replace_account_segment(
    segment_id: UUID,
    body: AccountSegmentCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> AccountSegment:
    """Accounts for which the answer stays the same stay; only differences are told."""
    now_ms = to_ms(request.state.clock.now())
    changed = await service.replace(session, caller.workspace_id, segment_id, body, now_ms)
    after.add_task(request.state.bell.ring, str(caller.workspace_id))
    return _wire(changed)


@router.delete(
    "/{segment_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a segment of accounts",
    responses=problem_responses(AccountSegmentNotFound),
)
async def delete_account_segment(segment_id: UUID, session: Session, caller: UserCaller) -> None:
    """No account is told to have left it: it is the segment that goes."""
    await service.delete(session, caller.workspace_id, segment_id)


@router.get(
    "/{segment_id}/accounts",
    summary="List the accounts in a segment of accounts",
    responses=problem_responses(AccountSegmentNotFound),
)
async def list_accounts_in_segment(
    segment_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> AccountInSegmentPage:
    await service.read(session, caller.workspace_id, segment_id)
    start, limit = after_id(paging), paging.limit
    found = await store.inside(session, caller.workspace_id, segment_id, start, limit + 1)
    shown = [
        AccountInSegment(account_id=i.account_id, group_id=i.group_id, entered_at=i.entered_at)
        for i in found[:limit]
    ]
    cursor = encode_cursor(str(shown[-1].account_id)) if len(found) > limit else None
    return AccountInSegmentPage(items=shown, next_cursor=cursor)


def _wire(stored: StoredAccountSegment) -> AccountSegment:
    return AccountSegment(
        id=stored.segment_id,
        name=stored.name,
        description=stored.description,
        rule=stored.definition["rule"],
        members=audience.conditions(stored.definition),
        accounts=stored.accounts,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
