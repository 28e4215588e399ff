"""Profiles over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import Identifier, Profile
from services.identifiers import Policy
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import to_ms
from services.profile.errors import ProfileNotFound
from services.profile.profiles import read, service
from services.profile.segments import store as segments
from services.profile.traits.reveal import Reveal

router = APIRouter(
    prefix="/api/v1/profiles",
    tags=["profiles"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)


def _now_ms(request: Request) -> int:
    return to_ms(request.state.clock.now())


Now = Annotated[int, Depends(_now_ms)]
"""The time of the request in ms since 1970."""

FIRST = UUID(int=0)
MOST_IDS = 100


class ProfilePatch(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"traits": {"plan": "pro", "coupon": None}}]},
    )

    traits: dict[Annotated[str, Field(min_length=1, max_length=200)], JsonValue] = Field(
        min_length=1,
        max_length=100,
        description="By name; null deletes a trait. Together at most 32 KB; a value at most 8 KB "
        "and 8 levels; a profile at most 500 traits and 64 KB.",
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
    now_ms: Now,
    request: Request,
    namespace: Annotated[
        str | None,
        Query(
            max_length=100,
            description="With `value`: only the profile that has this identifier. One of the "
            "identity policy: `user_id`, `email`, `phone`, `anonymous_id` and others.",
            examples=["email"],
        ),
    ] = None,
    value: Annotated[
        str | None,
        Query(max_length=1000, description="Normalised as events are.", examples=["Ada@x.org"]),
    ] = None,
    ids: Annotated[
        list[UUID] | None,
        Query(
            alias="id",
            max_length=MOST_IDS,
            description="Only these, such as the members of a segment; `id=…&id=…`. Ids of merged "
            "profiles give the one they became part of, unknown ones nothing.",
        ),
    ] = None,
    *,
    reveal: Reveal,
) -> Page[Profile]:
    """All profiles in order of id; with `namespace` and `value` the one they name, if any; with
    `id` those named, in one page.
    """
    if ids:
        living = await service.living(session, caller.workspace_id, ids)
        items = await read.read(session, caller.workspace_id, living, now_ms, reveal=reveal)
        return Page(items=items)
    if namespace is not None or value is not None:
        policy = await request.state.identity_policies.of(session, caller.workspace_id)
        found = await _by_identifier(session, caller.workspace_id, policy, namespace, value)
        items = await read.read(session, caller.workspace_id, found, now_ms, reveal=reveal)
        return Page(items=items)
    after = paging.after(str)
    start = FIRST if after is None else _cursor_id(str(after[0]))
    ids = await read.page(session, caller.workspace_id, start, paging.limit + 1)
    shown = ids[: paging.limit]
    cursor = encode_cursor(str(shown[-1])) if len(ids) > paging.limit else None
    items = await read.read(session, caller.workspace_id, shown, now_ms, reveal=reveal)
    return Page(items=items, next_cursor=cursor)


@router.get("/{profile_id}", summary="Read a profile", responses=problem_responses(ProfileNotFound))
async def read_profile(
    profile_id: UUID, session: Session, caller: UserCaller, now_ms: Now, reveal: Reveal
) -> Profile:
    """Ids of profiles that were merged away answer with the profile they became part of."""
    living = await service.canonical(session, caller.workspace_id, profile_id)
    found = await read.read(session, caller.workspace_id, [living], now_ms, reveal=reveal)
    if not found:
        raise service.not_found(profile_id)
    return found[0]


@router.patch(
    "/{profile_id}",
    summary="Change traits of a profile",
    responses={
        **problem_responses(ProfileNotFound, Unavailable),
        202: {
            "model": Profile,
            "description": "Durable, but events before it are still being applied: the profile as "
            "it was before.",
        },
    },
)
async def patch_profile(
    profile_id: UUID,
    body: ProfilePatch,
    caller: UserCaller,
    request: Request,
    response: Response,
    now_ms: Now,
) -> Profile:
    """Sets the given traits, deletes those given as null and leaves the others alone. Counts as
    said now by the source `api`, so an older event that arrives later does not undo it; it stands
    in the person's timeline as an `identify` event. All or nothing: one trait that cannot be taken
    refuses the whole request.

    A value replaces the one before. Sent as `application/merge-patch+json` (RFC 7396), objects are
    merged instead: `{"traits": {"address": {"zip": "50667"}}}` leaves the city alone.
    """
    state, workspace_id = request.state, caller.workspace_id
    writer = service.Writer(state.desk.speaker, state.policies, state.identity_policies)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    merge = content_type == "application/merge-patch+json"
    if not await service.change_traits(writer, workspace_id, profile_id, body.traits, merge=merge):
        response.status_code = HTTPStatus.ACCEPTED
    async with workspace_tx(state.sessionmaker, workspace_id) as session:
        living = await service.canonical(session, workspace_id, profile_id)
        return (await read.read(session, workspace_id, [living], now_ms))[0]


@router.get(
    "/{profile_id}/identifiers",
    summary="Identifiers of a profile",
    responses=problem_responses(ProfileNotFound),
)
async def list_identifiers(
    profile_id: UUID, session: Session, caller: UserCaller, now_ms: Now
) -> Identifiers:
    living = await service.canonical(session, caller.workspace_id, profile_id)
    found = await read.read(session, caller.workspace_id, [living], now_ms)
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
    session: AsyncSession,
    workspace_id: UUID,
    policy: Policy,
    namespace: str | None,
    value: str | None,
) -> list[UUID]:
    if namespace not in policy.names:
        accepted = ", ".join(policy.names)
        raise InvalidRequest.at("#/query/namespace", f"One of {accepted} is accepted.")
    if value is None:
        raise InvalidRequest.at("#/query/value", "Give the identifier's value with `namespace`.")
    normal = policy.normalise(namespace, value)
    if normal is None:
        return []
    found = await read.find(session, workspace_id, [(namespace, normal)])
    return list(found.values())


def _cursor_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
