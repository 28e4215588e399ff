"""Partners who are told of changes, over HTTP."""

import base64
import secrets
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.contracts.changes import ChangeType
from services.kit.auth import UserCaller
from services.kit.guard import web_address
from services.kit.ids import uuid7
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.signature import PREFIX
from services.kit.strict import StrictRoute
from services.profile.change_subscriptions import store
from services.profile.change_subscriptions.deliver import subscriptions_bell
from services.profile.change_subscriptions.store import Subscription
from services.profile.errors import ChangeSubscriptionNotFound
from services.profile.feed import store as feed
from services.profile.feed.public import START, Place
from services.profile.stream import store as stream

router = APIRouter(
    prefix="/api/v1/change-subscriptions",
    tags=["changes"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)
MOST = 20
"""Of a workspace: each reads the whole feed."""


class SubscriptionCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "url": "https://partner.example.org/waymark",
                    "types": ["segment.entered", "segment.exited"],
                }
            ]
        },
    )

    url: Annotated[str, Field(max_length=2000), AfterValidator(partial(web_address, local=True))]
    types: list[ChangeType] = Field(
        default_factory=list, max_length=50, description="Only these; all, if empty."
    )
    begin: Literal["start", "end"] = Field(
        "end", alias="from", description="All that is kept, or news only."
    )


class ChangeSubscription(BaseModel):
    id: UUID
    url: str
    types: list[str]
    state: Literal["active", "paused", "failed"] = Field(
        description="`failed` after three days in which the address took nothing; `resume` it."
    )
    attempts: int = Field(description="That failed since the last one that did not.")
    failing_since: datetime | None
    next_attempt_at: datetime | None = Field(description="Null unless it is failing.")
    last_answer: str = Field(description="The last status, or why there was none.")
    created_at: datetime


class NewChangeSubscription(ChangeSubscription):
    secret: str = Field(
        description="Signs each request as Standard Webhooks says. Shown this once only."
    )


class ChangeSubscriptions(BaseModel):
    items: list[ChangeSubscription] = Field(description="The oldest first.")


@router.post("", status_code=HTTPStatus.CREATED, summary="Have changes sent to an address")
async def create_subscription(
    body: SubscriptionCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> NewChangeSubscription:
    """Up to 100 changes come in one `POST`: `{"type": "changes", "items": [...]}`, in their order,
    signed with `webhook-id`, `webhook-timestamp` and `webhook-signature`. Answer 2xx within 15
    seconds; anything else is tried again for three days, and what comes later waits behind it. A
    request may come twice: act once on each item's `id`.
    """
    workspace_id = caller.workspace_id
    # Else calls at the same time count the same subscriptions, and all fit.
    await stream.lock(session, workspace_id)
    if len(await store.all_of(session, workspace_id)) >= MOST:
        raise InvalidRequest.at("#", f"A workspace has at most {MOST} subscriptions.")
    end = await feed.end(session, workspace_id)
    place = START if body.begin == "start" else Place(end + 1, -1)
    subscription_id = uuid7()
    secret = PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    await store.add(
        session,
        workspace_id,
        subscription_id,
        url=body.url,
        types=list(body.types),
        secret=secret,
        place=place,
        now=request.state.clock.now(),
    )
    _ring(request, caller, after)
    made = await _read(session, workspace_id, subscription_id)
    return NewChangeSubscription(**_shown(made).model_dump(), secret=secret)


@router.get("", summary="List who is told of changes")
async def list_subscriptions(session: Session, caller: UserCaller) -> ChangeSubscriptions:
    found = await store.all_of(session, caller.workspace_id)
    return ChangeSubscriptions(items=[_shown(each) for each in found])


@router.post(
    "/{subscription_id}/pause",
    summary="Send nothing for now",
    responses=problem_responses(ChangeSubscriptionNotFound),
)
async def pause_subscription(
    subscription_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> ChangeSubscription:
    """Nothing is lost: `resume` goes on where it stopped."""
    await _change(session, caller.workspace_id, subscription_id, state="paused")
    _ring(request, caller, after)
    return _shown(await _read(session, caller.workspace_id, subscription_id))


@router.post(
    "/{subscription_id}/resume",
    summary="Go on sending",
    responses=problem_responses(ChangeSubscriptionNotFound),
)
async def resume_subscription(
    subscription_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> ChangeSubscription:
    """From where it stopped, at once."""
    await _change(
        session,
        caller.workspace_id,
        subscription_id,
        state="active",
        attempts=0,
        failing_since=None,
        next_attempt_at=request.state.clock.now(),
    )
    _ring(request, caller, after)
    return _shown(await _read(session, caller.workspace_id, subscription_id))


@router.delete(
    "/{subscription_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Stop sending",
    responses=problem_responses(ChangeSubscriptionNotFound),
)
async def delete_subscription(
    subscription_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> None:
    if not await store.remove(session, caller.workspace_id, subscription_id):
        raise _not_found(subscription_id)
    _ring(request, caller, after)


def _ring(request: Request, caller: UserCaller, after: BackgroundTasks) -> None:
    after.add_task(request.state.bell.ring, subscriptions_bell(caller.workspace_id))


async def _change(
    session: Session, workspace_id: UUID, subscription_id: UUID, **values: object
) -> None:
    if not await store.change(session, workspace_id, subscription_id, **values):
        raise _not_found(subscription_id)


async def _read(session: Session, workspace_id: UUID, subscription_id: UUID) -> Subscription:
    found = await store.find(session, workspace_id, subscription_id)
    if found is None:
        raise _not_found(subscription_id)
    return found


def _shown(stored: Subscription) -> ChangeSubscription:
    return ChangeSubscription.model_validate(
        {
            "id": stored.subscription_id,
            "url": stored.url,
            "types": stored.types,
            "state": stored.state,
            "attempts": stored.attempts,
            "failing_since": stored.failing_since,
            "next_attempt_at": stored.next_attempt_at if stored.attempts else None,
            "last_answer": stored.last_answer,
            "created_at": stored.created_at,
        }
    )


def _not_found(subscription_id: UUID) -> ChangeSubscriptionNotFound:
    return ChangeSubscriptionNotFound(
        f"Subscription {subscription_id} does not exist.", subscription_id=str(subscription_id)
    )
