"""The identity policy as profile tells it, and what events carry that it does not declare."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from services.contracts.identity import IdentityPolicy, IdentityPolicyTaken
from services.identifiers import Policy
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.identity_policy import store

router = APIRouter(
    prefix="/api/v1/events",
    tags=["events"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


class ExternalIdType(BaseModel):
    """A `type` that entries of `context.externalIds` or `context.externalId` named."""

    type: str = Field(examples=["loyalty_card"])
    declared: bool = Field(
        description="Whether the identity policy of now has a namespace of this name. If not, such "
        "ids are dropped: the events count, and nobody is known by the id."
    )
    events: int = Field(description="How many events carried one.")
    last_at: datetime = Field(description="When the last of them was received.")


class ExternalIdTypes(BaseModel):
    items: list[ExternalIdType] = Field(description="The most frequent first, 200 at most.")


@router.get("/external-ids", summary="See which external ids events carry, declared or not")
async def list_external_ids(
    request: Request,
    session: Session,
    caller: UserCaller,
    days: Annotated[int, Query(ge=1, le=365, description="How far to look back.")] = 7,
) -> ExternalIdTypes:
    """Events keep what was said in their context, so that an id that was dropped is on record.
    Declare its type in the identity policy to have people known by it from then on.
    """
    policy = await store.newest(session, caller.workspace_id)
    since = datetime.now(UTC) - timedelta(days=days)
    found = await store.external_ids(request.state.clickhouse, caller.workspace_id, since)
    names = set(policy.names) - {"user_id"}
    return ExternalIdTypes(
        items=[
            ExternalIdType(type=kind, declared=kind in names, events=events, last_at=last_at)
            for kind, events, last_at in found
        ]
    )


@internal_router.put("/identity-policy", responses=problem_responses(InvalidRequest, Unavailable))
async def take_policy(
    body: IdentityPolicy, request: Request, caller: ServiceCaller
) -> IdentityPolicyTaken:
    """In force at ingestion within two seconds. A version never changes: told again it does
    nothing, and one older than the newest has no effect."""
    try:
        Policy(body)
    except ValueError as error:
        raise InvalidRequest.at("#/namespaces", str(error)) from error
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        version = await store.put(session, caller.workspace_id, body)
    return IdentityPolicyTaken(version=version)
