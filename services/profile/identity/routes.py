"""Conflicts of identity over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.contracts.identity import ConflictReason
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import ProfileNotFound
from services.profile.identity import conflicts
from services.profile.identity.conflicts import Conflict, MergeClass
from services.profile.profiles import service

router = APIRouter(
    prefix="/api/v1/conflicts",
    tags=["profiles"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

_LAST = UUID(int=2**128 - 1)


@router.get(
    "",
    summary="List identifiers that were not linked, and why",
    responses=problem_responses(ProfileNotFound),
)
async def list_conflicts(
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    profile_id: Annotated[
        UUID | None, Query(description="Only of this profile, and of those merged into it.")
    ] = None,
    reason: ConflictReason | None = None,
    merge_class: MergeClass | None = None,
) -> Page[Conflict]:
    """The latest first. Events never join two known people: each stays with its own person, and
    what it would have joined them by stands here for somebody to decide.
    """
    if profile_id is not None:
        profile_id = await service.canonical(session, caller.workspace_id, profile_id)
    wanted = {"profile_id": profile_id, "reason": reason, "merge_class": merge_class}
    key = paging.after(str)
    before = _LAST if key is None else _id(str(key[0]))
    found = await conflicts.page(session, caller.workspace_id, before, paging.limit + 1, wanted)
    shown = found[: paging.limit]
    more = len(found) > paging.limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
