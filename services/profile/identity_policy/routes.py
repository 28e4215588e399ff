"""The identity policy over HTTP."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.identity import BUILT_IN, MAX_CUSTOM, Namespace
from services.kit.auth import UserCaller
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.identity_policy import service, store
from services.profile.identity_policy.store import Stored

router = APIRouter(
    prefix="/api/v1/identity-policy",
    tags=["identity policy"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


class IdentityPolicyPut(BaseModel):
    """All namespaces of the workspace. One that is left out is not known any more: what events say
    of it names nobody; what was linked before stays."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "namespaces": [
                        {"name": "user_id"},
                        {"name": "email", "blocked": {"patterns": ["@test\\.example$"]}},
                        {"name": "phone", "region": "CN"},
                        {"name": "external_userid"},
                        {
                            "name": "loyalty_card",
                            "fold_case": True,
                            "limit": {"count": 2, "window_days": 365},
                        },
                        {"name": "anonymous_id"},
                    ]
                }
            ]
        },
    )

    namespaces: list[Namespace] = Field(
        min_length=1,
        max_length=len(BUILT_IN.namespaces) + MAX_CUSTOM,
        description="By falling priority. `user_id` is the first and `anonymous_id` among them; at "
        f"most {MAX_CUSTOM} are your own.",
    )


class CurrentIdentityPolicy(BaseModel):
    """Which identifiers people are known by, how they are compared, and how many may be linked."""

    version: int = Field(description="0: the built-in policy; each change counts one up.")
    namespaces: list[Namespace] = Field(description="By falling priority.")
    in_force: bool = Field(
        description="Whether events are read by it. False for the moment between setting it and "
        "telling ingestion, which is repeated until it succeeds."
    )
    changed_at: datetime | None = Field(description="Null for the built-in policy.")


@router.get("", summary="Read the identity policy")
async def read_policy(session: Session, caller: UserCaller) -> CurrentIdentityPolicy:
    """The built-in one until you set your own."""
    return _shown(await store.newest(session, caller.workspace_id))


@router.put("", summary="Set the identity policy")
async def put_policy(
    body: IdentityPolicyPut, request: Request, caller: UserCaller
) -> CurrentIdentityPolicy:
    """Events that arrive from then on are read by it, within two seconds of `in_force`; events that
    were accepted before keep the identifiers they have, and no profile is torn apart.
    """
    state, workspace_id = request.state, caller.workspace_id
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        await service.put(session, workspace_id, body.namespaces, state.clock.now())
    state.identity_policies.forget(workspace_id)
    try:
        await service.tell(state.sessionmaker, state.tracking, workspace_id)
    except Unavailable:
        state.bell.ring(service.policy_bell(workspace_id))
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        return _shown(await store.newest(session, workspace_id))


def _shown(stored: Stored | None) -> CurrentIdentityPolicy:
    if stored is None:
        return CurrentIdentityPolicy(
            version=0, namespaces=BUILT_IN.namespaces, in_force=True, changed_at=None
        )
    return CurrentIdentityPolicy(
        version=stored.version,
        namespaces=stored.namespaces,
        in_force=stored.in_force,
        changed_at=stored.changed_at,
    )
