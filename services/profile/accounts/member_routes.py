"""Who is in which account, over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request

from services.contracts.profile import AccountSpan, AccountSpans
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.pagination import PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.accounts import read, routes, service
from services.profile.accounts.models import (
    AccountMember,
    AccountMemberPage,
    AccountMemberPut,
    ProfileAccount,
    ProfileAccounts,
)
from services.profile.clock import to_ms
from services.profile.errors import AccountMemberNotFound, AccountNotFound, ProfileNotFound
from services.profile.profiles import service as profiles

router = APIRouter(
    prefix="/api/v1",
    tags=["accounts"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)
internal_router = APIRouter(
    prefix="/internal/v1/accounts",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)

MAX_ACCOUNTS = 100
"""Of one person that are shown."""


@router.get(
    "/accounts/{account_id}/members",
    summary="List the people in an account",
    responses=problem_responses(AccountNotFound),
)
async def list_account_members(
    account_id: UUID,
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    role: Annotated[
        str | None,
        Query(max_length=50, description="Only people with this role.", examples=["decider"]),
    ] = None,
) -> AccountMemberPage:
    await routes.found(session, caller.workspace_id, account_id)
    wanted = None if role is None else role.strip().lower()
    start, limit = routes.after_id(paging), paging.limit
    members = await read.members(session, caller.workspace_id, account_id, wanted, start, limit + 1)
    shown = [
        AccountMember(profile_id=m.profile_id, roles=m.roles, since=m.since, source_id=m.source)
        for m in members[:limit]
    ]
    more = len(members) > limit
    cursor = encode_cursor(str(shown[-1].profile_id)) if more else None
    return AccountMemberPage(items=shown, next_cursor=cursor)


@router.put(
    "/accounts/{account_id}/members/{profile_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Put a person into an account, or change what they are in it",
    responses=problem_responses(AccountNotFound, ProfileNotFound),
)
async def put_account_member(
    account_id: UUID,
    profile_id: UUID,
    body: AccountMemberPut,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> None:
    """Counts as said now: roles of an older group call that arrives later do not undo it."""
    workspace_id, state = caller.workspace_id, request.state
    now_ms = to_ms(state.clock.now())
    await service.put_member(
        session, workspace_id, account_id, profile_id, body.roles, now_ms, state.rules
    )
    after.add_task(state.bell.ring, str(workspace_id))


@router.delete(
    "/accounts/{account_id}/members/{profile_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Take a person out of an account",
    responses=problem_responses(AccountNotFound, ProfileNotFound, AccountMemberNotFound),
)
async def delete_account_member(
    account_id: UUID,
    profile_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> None:
    """Only a group call of a later time puts the person back, or this API."""
    workspace_id, state = caller.workspace_id, request.state
    now_ms = to_ms(state.clock.now())
    await service.remove_member(session, workspace_id, account_id, profile_id, now_ms, state.rules)
    after.add_task(state.bell.ring, str(workspace_id))


@router.get(
    "/profiles/{profile_id}/accounts",
    summary="Accounts a profile is in",
    responses=problem_responses(ProfileNotFound),
)
async def list_profile_accounts(
    profile_id: UUID, session: Session, caller: UserCaller
) -> ProfileAccounts:
    living = await profiles.canonical(session, caller.workspace_id, profile_id)
    belongs = await read.of_profile(session, caller.workspace_id, living, MAX_ACCOUNTS)
    return ProfileAccounts(
        items=[
            ProfileAccount(
                account_id=b.account_id,
                group_id=b.group_id,
                name=b.name,
                roles=b.roles,
                since=b.since,
                primary=index == 0,
            )
            for index, b in enumerate(belongs)
        ]
    )


@internal_router.get("/{account_id}/spans")
async def read_spans(
    account_id: UUID,
    session: Session,
    caller: ServiceCaller,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> AccountSpans:
    account = await routes.found(session, caller.workspace_id, account_id)
    spans = await read.spans(session, caller.workspace_id, account_id, limit)
    return AccountSpans(
        group_id=account.group_id,
        members=[
            AccountSpan(profile_id=s.profile_id, since=s.since, until=s.removed_at) for s in spans
        ],
    )
