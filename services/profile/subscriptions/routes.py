"""Subscription groups over HTTP."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.kit.auth import UserCaller
from services.kit.pagination import Page, Paging, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.consents import service as consents
from services.profile.consents.model import ConsentSaid
from services.profile.consents.routes import IdempotencyKey
from services.profile.errors import ProfileNotFound, SubscriptionGroupNotFound
from services.profile.subscriptions import service, store
from services.profile.subscriptions.model import (
    Subscriber,
    SubscriptionGroup,
    SubscriptionGroupWrite,
    Subscriptions,
    SubscriptionWrite,
)

router = APIRouter(
    tags=["subscription groups"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)
GROUPS = "/api/v1/subscription-groups"
OF_PROFILE = "/api/v1/profiles/{profile_id}/subscriptions"


@router.post(GROUPS, status_code=201, summary="Create a subscription group")
async def create_subscription_group(
    body: SubscriptionGroupWrite,
    session: Session,
    caller: UserCaller,
    request: Request,
    idempotency_key: IdempotencyKey = None,
) -> SubscriptionGroup:
    now = request.state.clock.now()
    return await service.create(session, caller.workspace_id, body, now, idempotency_key)


@router.get(GROUPS, summary="List subscription groups")
async def list_subscription_groups(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[SubscriptionGroup]:
    """The oldest first."""
    found = await store.page(session, caller.workspace_id, _after(paging), paging.limit + 1)
    shown = found[: paging.limit]
    cursor = encode_cursor(str(shown[-1].id)) if len(found) > paging.limit else None
    return Page(items=shown, next_cursor=cursor)


@router.get(
    GROUPS + "/{group_id}",
    summary="Read a subscription group",
    responses=problem_responses(SubscriptionGroupNotFound),
)
async def read_subscription_group(
    group_id: UUID, session: Session, caller: UserCaller
) -> SubscriptionGroup:
    return await service.read(session, caller.workspace_id, group_id)


@router.put(
    GROUPS + "/{group_id}",
    summary="Change a subscription group",
    responses=problem_responses(SubscriptionGroupNotFound),
)
async def replace_subscription_group(
    group_id: UUID,
    body: SubscriptionGroupWrite,
    session: Session,
    caller: UserCaller,
    request: Request,
) -> SubscriptionGroup:
    """Members stay as they are: who joined before double opt-in was asked for needs none."""
    now = request.state.clock.now()
    return await service.replace(session, caller.workspace_id, group_id, body, now)


@router.get(
    GROUPS + "/{group_id}/members",
    summary="Who is in a subscription group",
    responses=problem_responses(SubscriptionGroupNotFound),
)
async def list_members(
    group_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Subscriber]:
    """Profiles that joined and did not leave, in order of id. Those who are in a group only because
    nobody objected (`opt_out`) are not listed."""
    group = await service.read(session, caller.workspace_id, group_id)
    after = _after(paging)
    found = await store.members(session, caller.workspace_id, group, after, paging.limit + 1)
    shown = found[: paging.limit]
    cursor = encode_cursor(str(shown[-1])) if len(found) > paging.limit else None
    return Page(items=[Subscriber(profile_id=each) for each in shown], next_cursor=cursor)


@router.get(
    OF_PROFILE,
    summary="Subscription groups of a profile",
    responses=problem_responses(ProfileNotFound),
)
async def list_subscriptions(
    profile_id: UUID, session: Session, caller: UserCaller
) -> Subscriptions:
    """Every group of the workspace and where the person stands with it."""
    whole = await consents.picture(session, caller.workspace_id, profile_id)
    items = await service.subscriptions(session, caller.workspace_id, whole)
    return Subscriptions(items=items)


@router.put(
    OF_PROFILE + "/{group_id}",
    summary="Let a profile join or leave a group",
    responses=problem_responses(ProfileNotFound, SubscriptionGroupNotFound, Unavailable),
)
async def put_subscription(
    profile_id: UUID,
    group_id: UUID,
    body: SubscriptionWrite,
    caller: UserCaller,
    request: Request,
) -> ConsentSaid:
    """Leaving stops the group's messages before it is answered. Joining a group with double opt-in
    is an event `Consent Requested` and waits for the confirmation, unless `confirmed` says so."""
    workspace_id = caller.workspace_id
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        group = await service.read(session, workspace_id, group_id)
        whole = await consents.picture(session, workspace_id, profile_id)
    wishes = service.wishes(
        whole.said,
        service.subscription(group, whole),
        body.subscribed,
        confirmed=body.confirmed,
        actor=caller.subject,
    )
    made = await consents.state(request.state.desk, workspace_id, profile_id, wishes)
    return ConsentSaid(
        message_id=made.message_ids[0],
        profile_id=made.profile_id,
        at=made.at,
        applied=made.applied,
    )


def _after(paging: Paging) -> UUID:
    key = paging.after(str)
    if key is None:
        return service.FIRST
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
