"""Policies over HTTP."""

from fastapi import APIRouter

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import PoliciesChanged
from services.orchestrator.policies import store
from services.orchestrator.policies.model import Policies, PoliciesChange, PoliciesDocument

router = APIRouter(
    prefix="/api/v1/policies",
    tags=["policies"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.get("", summary="Read the policies that hold")
async def read_policies(session: Session) -> Policies:
    """Caps, quiet hours, expiry and arbiter of all marketing messages of the workspace."""
    rows = await store.versions(session, None, 1)
    if rows:
        return Policies.model_validate(rows[0], from_attributes=True)
    return Policies(version=0, document=PoliciesDocument(), written_by=None, written_at=None)


@router.put("", summary="Replace the policies", responses=problem_responses(PoliciesChanged))
async def replace_policies(body: PoliciesChange, caller: UserCaller, session: Session) -> Policies:
    """They hold for every message that is sent from now on, also for those that wait already."""
    by = caller.subject
    if not await store.write(session, caller.workspace_id, body.version, body.document, by):
        raise PoliciesChanged(f"Version {body.version} is not the latest: read the policies again.")
    return await read_policies(session)


@router.get("/versions", summary="List what the policies were, newest first")
async def list_versions(session: Session, paging: PagingParams) -> Page[Policies]:
    """Who wrote which version when."""
    key = paging.after(int)
    # Bound to what the column can hold: a made-up cursor is an empty page, not an error.
    before = None if key is None else min(int(key[0]), 2**31 - 1)
    rows = await store.versions(session, before, paging.limit + 1)
    found = [Policies.model_validate(row, from_attributes=True) for row in rows[: paging.limit]]
    cursor = encode_cursor(found[-1].version) if len(rows) > paging.limit else None
    return Page(items=found, next_cursor=cursor)
