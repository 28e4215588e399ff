"""Accounts over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.account_segments import store as segments
from services.profile.accounts import read, service
from services.profile.accounts.asking import accounts_bell
from services.profile.accounts.calls import normal_group_id
from services.profile.accounts.models import (
    Account,
    AccountCreate,
    AccountPatch,
    Accounts,
    AccountSegmentOf,
    AccountSegmentsOf,
)
from services.profile.accounts.read import StoredAccount
from services.profile.clock import to_ms
from services.profile.errors import AccountExists, AccountNotFound

router = APIRouter(
    prefix="/api/v1/accounts",
    tags=["accounts"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

FIRST = UUID(int=0)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create an account",
    responses=problem_responses(AccountExists),
)
async def create_account(
    body: AccountCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Account:
    """Accounts are made by group calls; this makes one that nobody is in, such as a holding
    company that stands above others.
    """
    workspace_id, state = caller.workspace_id, request.state
    now_ms = to_ms(state.clock.now())
    made = await service.create(
        *(session, workspace_id, body.group_id, body.traits, body.parent_id, now_ms, state.rules)
    )
    after.add_task(state.bell.ring, str(workspace_id))
    return await found(session, workspace_id, made)


@router.get("", summary="List accounts, or find one by its group id")
async def list_accounts(
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    group_id: Annotated[
        str | None,
        Query(max_length=255, description="Only the account of this `groupId`.", examples=["acme"]),
    ] = None,
) -> Page[Account]:
    """All accounts in order of id; with `group_id` the one it names, if any."""
    if group_id is not None:
        name = normal_group_id(group_id)
        named = await read.named(session, caller.workspace_id, name) if name else []
        return Page(items=list(map(wire, named)))
    accounts = await read.page(session, caller.workspace_id, after_id(paging), paging.limit + 1)
    return _page(accounts, paging.limit)


@router.get(
    "/{account_id}", summary="Read an account", responses=problem_responses(AccountNotFound)
)
async def read_account(account_id: UUID, session: Session, caller: UserCaller) -> Account:
    return await found(session, caller.workspace_id, account_id)


@router.patch(
    "/{account_id}",
    summary="Change traits or the parent of an account",
    responses=problem_responses(AccountNotFound),
)
async def patch_account(
    account_id: UUID,
    body: AccountPatch,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Account:
    """Sets the given traits, deletes those given as null and leaves the others alone. Counts as
    said now, so an older group call that arrives later does not undo it. Hierarchies have at most
    10 levels and no circles.
    """
    workspace_id, state = caller.workspace_id, request.state
    now_ms = to_ms(state.clock.now())
    if "parent_id" in body.model_fields_set:
        await service.place_below(session, workspace_id, account_id, body.parent_id)
    await service.change(session, workspace_id, account_id, body.traits, now_ms, state.rules)
    for bell in (str(workspace_id), accounts_bell(workspace_id)):
        after.add_task(state.bell.ring, bell)
    return await found(session, workspace_id, account_id)


@router.get(
    "/{account_id}/children",
    summary="List the accounts right below an account",
    responses=problem_responses(AccountNotFound),
)
async def list_children(
    account_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Account]:
    await found(session, caller.workspace_id, account_id)
    start = after_id(paging)
    children = await read.children(
        session, caller.workspace_id, account_id, start, paging.limit + 1
    )
    return _page(children, paging.limit)


@router.get(
    "/{account_id}/ancestors",
    summary="List the accounts above an account",
    responses=problem_responses(AccountNotFound),
)
async def list_ancestors(account_id: UUID, session: Session, caller: UserCaller) -> Accounts:
    """The parent first, the top of the hierarchy last."""
    await found(session, caller.workspace_id, account_id)
    above = await service.ancestors(session, caller.workspace_id, account_id)
    return Accounts(items=list(map(wire, above)))


@router.get(
    "/{account_id}/segments",
    summary="List the segments of accounts an account is in",
    responses=problem_responses(AccountNotFound),
)
async def list_account_segments_of(
    account_id: UUID, session: Session, caller: UserCaller
) -> AccountSegmentsOf:
    await found(session, caller.workspace_id, account_id)
    held = await segments.of_account(session, caller.workspace_id, account_id)
    return AccountSegmentsOf(
        items=[AccountSegmentOf(segment_id=s, name=n, entered_at=t) for s, n, t in held]
    )


async def found(session: AsyncSession, workspace_id: UUID, account_id: UUID) -> Account:
    """The account, or ``AccountNotFound``."""
    stored = await read.find(session, workspace_id, account_id)
    if stored is None:
        raise service.not_found(account_id)
    return wire(stored)


def after_id(paging: PagingParams) -> UUID:
    """The id in the cursor; the lowest on the first page."""
    key = paging.after(str)
    try:
        return FIRST if key is None else UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error


def wire(stored: StoredAccount) -> Account:
    return Account(
        id=stored.account_id,
        group_id=stored.group_id,
        traits=stored.traits,
        parent_id=stored.parent_id,
        members=stored.members,
        first_seen_at=stored.first_seen_at,
        last_seen_at=stored.last_seen_at,
    )


def _page(accounts: list[StoredAccount], limit: int) -> Page[Account]:
    shown = list(map(wire, accounts[:limit]))
    more = len(accounts) > limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)
