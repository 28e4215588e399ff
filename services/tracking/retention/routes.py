"""Retention policies over HTTP: for how long events of a class are kept."""

from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.kit.auth import UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import RetentionPolicyNotFound, TooManyRetentionPolicies
from services.tracking.retention import store
from services.tracking.retention.compile import Policy

MAX_POLICIES = 100

router = APIRouter(
    prefix="/api/v1/events/retention",
    tags=["retention"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)

Kind = Literal["track", "identify", "page", "screen", "group", "alias", "outcome"]
Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]


class RetentionPut(BaseModel):
    """A class of events and how long they are kept. What is left out stands for any."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"type": "page", "source_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a", "days": 90}
            ]
        },
    )

    type: Kind | None = Field(None, description="`outcome`: what journeys did.")
    event: Name | None = Field(
        None,
        description="The event's name, or a pattern in which `*` stands for any text.",
        examples=["Product *"],
    )
    source_id: Name | None = Field(None, description="`id` of `/api/v1/sources`.")
    days: int = Field(
        ge=1, le=36_500, description="Days from when an event occurred until it expires."
    )


class RetentionPolicy(RetentionPut):
    id: UUID


class RetentionPolicies(BaseModel):
    items: list[RetentionPolicy]


@router.get("", summary="List how long events are kept")
async def list_policies(session: Session, caller: UserCaller) -> RetentionPolicies:
    """In the order in which they are asked: an event is kept as long as the first policy says that
    it meets, and for ever when it meets none. An exact name comes before a pattern, of patterns
    the one with more literal characters, then one that names the source, then one that names the
    type, then the one with fewer days."""
    return RetentionPolicies(items=[_shown(policy) for policy in await store.policies(session)])


@router.put(
    "",
    summary="Say how long events of a class are kept",
    responses=problem_responses(TooManyRetentionPolicies),
)
async def put_policy(body: RetentionPut, session: Session, caller: UserCaller) -> RetentionPolicy:
    """Makes the policy of this type, event and source, or changes its days. Expired events leave
    every query and ClickHouse's files within 24 hours. Longer days bring nothing back."""
    policy = await store.put(session, caller.workspace_id, body.model_dump())
    if await store.count(session) > MAX_POLICIES:
        raise TooManyRetentionPolicies(f"A workspace has {MAX_POLICIES} policies at most.")
    return _shown(policy)


@router.delete(
    "/{policy_id}",
    summary="Remove a retention policy",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(RetentionPolicyNotFound),
)
async def delete_policy(policy_id: UUID, session: Session, caller: UserCaller) -> None:
    """Its events are kept as the next policy says that they meet, or for ever."""
    if not await store.remove(session, policy_id):
        raise RetentionPolicyNotFound(f"There is no retention policy {policy_id}.")


def _shown(policy: Policy) -> RetentionPolicy:
    return RetentionPolicy.model_validate(policy, from_attributes=True)
