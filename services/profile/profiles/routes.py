"""Profiles over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from services import identifiers
from services.contracts.profile import Profile
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import ProfileNotFound
from services.profile.identity import store as identity
from services.profile.profiles import read

router = APIRouter(
    prefix="/api/v1/profiles",
    tags=["profiles"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

FIRST = UUID(int=0)


@router.get("", summary="List profiles, or find one by an identifier")
async def list_profiles(
    session: Session,
    caller: UserCaller,
    paging: PagingParams,
    namespace: Annotated[
        str | None,
        Query(
            max_length=100,
            description="With `value`: only the profile that has this identifier. One of "
            "`user_id`, `email`, `phone`, `anonymous_id`.",
            examples=["email"],
        ),
    ] = None,
    value: Annotated[
        str | None,
        Query(max_length=1000, description="Normalised as events are.", examples=["Ada@x.org"]),
    ] = None,
) -> Page[Profile]:
    """All profiles in order of id; with `namespace` and `value` the one they name, if any."""
    if namespace is not None or value is not None:
        return Page(items=await _by_identifier(session, caller.workspace_id, namespace, value))
    after = paging.after(str)
    start = FIRST if after is None else _cursor_id(str(after[0]))
    ids = await read.page(session, caller.workspace_id, start, paging.limit + 1)
    shown = ids[: paging.limit]
    cursor = encode_cursor(str(shown[-1])) if len(ids) > paging.limit else None
    return Page(items=await read.read(session, caller.workspace_id, shown), next_cursor=cursor)


@router.get("/{profile_id}", summary="Read a profile", responses=problem_responses(ProfileNotFound))
async def read_profile(profile_id: UUID, session: Session, caller: UserCaller) -> Profile:
    """Ids of profiles that were merged away answer with the profile they became part of."""
    living = await canonical(session, caller.workspace_id, profile_id)
    found = await read.read(session, caller.workspace_id, [living])
    if not found:
        raise not_found(profile_id)
    return found[0]


async def canonical(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The living profile behind an id, or ``ProfileNotFound``."""
    asked = str(profile_id)
    found = (await identity.canonical(session, workspace_id, [asked])).get(asked)
    if found is None:
        raise not_found(profile_id)
    return UUID(found)


def not_found(profile_id: UUID) -> ProfileNotFound:
    return ProfileNotFound(f"Profile {profile_id} does not exist.", profile_id=str(profile_id))


async def _by_identifier(
    session: AsyncSession, workspace_id: UUID, namespace: str | None, value: str | None
) -> list[Profile]:
    if namespace not in identifiers.PRIORITY:
        accepted = ", ".join(identifiers.PRIORITY)
        raise InvalidRequest.at("#/query/namespace", f"One of {accepted} is accepted.")
    if value is None:
        raise InvalidRequest.at("#/query/value", "Give the identifier's value with `namespace`.")
    normal = identifiers.normalise(namespace, value)
    if normal is None or "\x00" in normal:
        return []
    found = await read.find(session, workspace_id, namespace, normal)
    return [] if found is None else await read.read(session, workspace_id, [found])


def _cursor_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
