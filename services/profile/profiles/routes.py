"""Profiles over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from services import identifiers
from services.contracts.profile import Identifier, Profile
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import to_ms
from services.profile.errors import ProfileNotFound
from services.profile.profiles import read, service
from services.profile.segments import store as segments

router = APIRouter(
    prefix="/api/v1/profiles",
    tags=["profiles"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

FIRST = UUID(int=0)


class ProfilePatch(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"traits": {"plan": "pro", "coupon": None}}]},
    )

    traits: dict[Annotated[str, Field(min_length=1, max_length=200)], JsonValue] = Field(
        min_length=1, max_length=100, description="By name; null deletes a trait."
    )


class Identifiers(BaseModel):
    items: list[Identifier] = Field(description="The most recently linked first.")


class ProfileSegment(BaseModel):
    segment_id: UUID
    name: str
    entered_at: datetime


class ProfileSegments(BaseModel):
    items: list[ProfileSegment] = Field(description="By name.")


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
    living = await service.canonical(session, caller.workspace_id, profile_id)
    found = await read.read(session, caller.workspace_id, [living])
    if not found:
        raise service.not_found(profile_id)
    return found[0]


@router.patch(
    "/{profile_id}",
    summary="Change traits of a profile",
    responses=problem_responses(ProfileNotFound),
)
async def patch_profile(
    profile_id: UUID,
    body: ProfilePatch,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Profile:
    """Sets the given traits, deletes those given as null and leaves the others alone. Counts as
    said now, so an older event that arrives later does not undo it.
    """
    workspace_id = caller.workspace_id
    now_ms = to_ms(request.state.clock.now())
    living = await service.change_traits(
        session, workspace_id, profile_id, body.traits, now_ms, request.state.rules
    )
    after.add_task(request.state.bell.ring, str(workspace_id))
    return (await read.read(session, workspace_id, [living]))[0]


@router.get(
    "/{profile_id}/identifiers",
    summary="Identifiers of a profile",
    responses=problem_responses(ProfileNotFound),
)
async def list_identifiers(profile_id: UUID, session: Session, caller: UserCaller) -> Identifiers:
    living = await service.canonical(session, caller.workspace_id, profile_id)
    found = await read.read(session, caller.workspace_id, [living])
    return Identifiers(items=found[0].identifiers)


@router.get(
    "/{profile_id}/segments",
    summary="Segments a profile is in",
    responses=problem_responses(ProfileNotFound),
)
async def list_profile_segments(
    profile_id: UUID, session: Session, caller: UserCaller
) -> ProfileSegments:
    living = await service.canonical(session, caller.workspace_id, profile_id)
    found = await segments.of_profile(session, caller.workspace_id, living)
    return ProfileSegments(
        items=[ProfileSegment(segment_id=s, name=n, entered_at=t) for s, n, t in found]
    )


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
