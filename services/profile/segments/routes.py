"""Segments over HTTP."""

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.profile import SegmentMembers
from services.contracts.rules import Group
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.pagination import Page, PagingParams, decode_cursor, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import to_ms
from services.profile.errors import SegmentInUse, SegmentNameTaken, SegmentNotFound
from services.profile.rules.store import LIST
from services.profile.segments import service, store
from services.profile.segments.examples import EXAMPLES, RULE
from services.profile.segments.store import StoredSegment
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1/segments",
    tags=["segments"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)
internal_router = APIRouter(
    prefix="/internal/v1/segments",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)


class SegmentCreate(BaseModel):
    """A name and the rule that says who is in; a list, whose members are put in by hand, has no
    rule."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [*EXAMPLES]})

    name: str = Field(
        min_length=1, max_length=200, pattern=r"\S", description="Unique in the workspace."
    )
    description: str = Field("", max_length=2000)
    rule: Group | None = Field(None, description="Absent for a list.")


class Segment(BaseModel):
    id: UUID
    name: str
    description: str
    kind: Literal["rule", "list"] = Field(
        description="Whether a rule says who is in, or people are put in by hand."
    )
    rule: dict[str, Any] | None = Field(description="As it was sent, ready for a rule editor.")
    status: Literal["backfilling", "ready"] = Field(
        description="`backfilling` while past events are counted and everybody is looked at; "
        "`members` grows until it is `ready`."
    )
    progress: float = Field(
        ge=0,
        le=1,
        description="Share of people that were looked at since the rule was made or changed; 0 "
        "while past events are counted.",
    )
    version: int = Field(description="From 1; each change of name, description or rule is one.")
    members: int = Field(description="How many people are in it now.")
    created_at: datetime
    updated_at: datetime


class SegmentPreview(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rule": RULE}]})

    rule: Group


class SegmentOverlap(BaseModel):
    segment_id: UUID
    name: str
    people: int = Field(description="People of the preview who are in this segment too.")


class PreviewResult(BaseModel):
    count: int = Field(description="People the rule holds for now.")
    total: int = Field(description="People in the workspace.")
    sample: list[UUID] = Field(description="Up to 20 of them, by profile id.")
    overlaps: list[SegmentOverlap] = Field(
        description="Up to 20 segments that hold most of them, the largest overlap first."
    )
    reach: dict[str, int] = Field(
        description="How many of them have an identifier, by namespace.",
        examples=[{"email": 812, "phone": 410}],
    )


class Member(BaseModel):
    profile_id: UUID
    entered_at: datetime


class MemberPage(Page[Member]):
    count: int = Field(description="Members on all pages.")


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create a segment",
    responses=problem_responses(SegmentNameTaken),
)
async def create_segment(
    body: SegmentCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Segment:
    """People enter and leave in real time from now on; those it already holds for enter in the
    background, each with a `segment.entered`.
    """
    made = await service.create(
        session,
        caller.workspace_id,
        body.name,
        body.description,
        _rule(body),
        caller.subject,
    )
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return shown(made)


@router.get("", summary="List segments, oldest first")
async def list_segments(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Segment]:
    start = _after(paging.after(str))
    found = await store.page(session, caller.workspace_id, start, paging.limit + 1)
    some = found[: paging.limit]
    cursor = encode_cursor(str(some[-1].segment_id)) if len(found) > paging.limit else None
    return Page(items=[shown(each) for each in some], next_cursor=cursor)


@router.post(
    "/preview", summary="Count whom a rule holds for", responses=problem_responses(Unavailable)
)
async def preview_segment(
    body: SegmentPreview, request: Request, caller: UserCaller
) -> PreviewResult:
    """Saves nothing. Events that no segment counts yet are read from the analytics store, where
    they arrive about a second after they were accepted.
    """
    found = await service.preview(
        request.state.sessionmaker,
        request.state.tracking,
        caller.workspace_id,
        _tree(body.rule),
        to_ms(request.state.clock.now()),
    )
    return PreviewResult(
        count=found.count,
        total=found.total,
        sample=found.sample,
        overlaps=[SegmentOverlap(**asdict(each)) for each in found.overlaps],
        reach=found.reach,
    )


@router.get("/{segment_id}", summary="Read a segment", responses=problem_responses(SegmentNotFound))
async def read_segment(segment_id: UUID, session: Session, caller: UserCaller) -> Segment:
    return shown(await service.read(session, caller.workspace_id, segment_id))


@router.put(
    "/{segment_id}",
    summary="Replace a segment",
    responses=problem_responses(SegmentNotFound, SegmentNameTaken),
)
async def replace_segment(
    segment_id: UUID,
    body: SegmentCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Segment:
    """Members stay until the new rule has been asked about them; only differences are told."""
    changed = await service.replace(
        session,
        caller.workspace_id,
        segment_id,
        body.name,
        body.description,
        _rule(body),
        caller.subject,
    )
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return shown(changed)


@router.delete(
    "/{segment_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a segment",
    responses=problem_responses(SegmentNotFound, SegmentInUse),
)
async def delete_segment(segment_id: UUID, session: Session, caller: UserCaller) -> None:
    """Nobody is told to have left it: it is the segment that goes, not the people."""
    await service.delete(session, caller.workspace_id, segment_id)


@router.get(
    "/{segment_id}/members",
    summary="List the people in a segment",
    responses=problem_responses(SegmentNotFound),
)
async def list_members(
    segment_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> MemberPage:
    segment = await service.read(session, caller.workspace_id, segment_id)
    start = _after(paging.after(str))
    found = await store.members(session, caller.workspace_id, segment_id, start, paging.limit + 1)
    some = found[: paging.limit]
    return MemberPage(
        items=[Member(profile_id=m.profile_id, entered_at=m.entered_at) for m in some],
        next_cursor=encode_cursor(str(some[-1].profile_id)) if len(found) > paging.limit else None,
        count=segment.members,
    )


@internal_router.get("/{segment_id}/members")
async def read_members(
    segment_id: UUID,
    session: Session,
    caller: ServiceCaller,
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
) -> SegmentMembers:
    await service.read(session, caller.workspace_id, segment_id)
    start = _after(None if cursor is None else decode_cursor(cursor, "#/query/cursor", str))
    found = await store.members(session, caller.workspace_id, segment_id, start, limit + 1)
    ids = [member.profile_id for member in found[:limit]]
    more = len(found) > limit
    return SegmentMembers(
        profile_ids=ids, next_cursor=encode_cursor(str(ids[-1])) if more else None
    )


def _rule(body: SegmentCreate) -> dict[str, Any] | None:
    return None if body.rule is None else _tree(body.rule)


def _tree(rule: Group) -> dict[str, Any]:
    return rule.model_dump(mode="json", by_alias=True, exclude_none=True)


def _after(key: tuple[str | int, ...] | None) -> UUID:
    if key is None:
        return UUID(int=0)
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error


def shown(stored: StoredSegment) -> Segment:
    is_list, ready = stored.kind == LIST, stored.state == "ready"
    return Segment(
        id=stored.segment_id,
        name=stored.name,
        description=stored.description,
        kind="list" if is_list else "rule",
        rule=None if is_list else stored.definition,
        status="ready" if ready else "backfilling",
        progress=1 if ready else min(1, stored.swept / max(1, stored.to_sweep)),
        version=stored.version,
        members=stored.members,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )
