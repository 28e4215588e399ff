"""What became of segments: their versions, and who entered and left them, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import ProfileNotFound, SegmentNotFound
from services.profile.profiles.service import canonical
from services.profile.rules.store import LIST
from services.profile.segments import history, service, store
from services.profile.segments.history import Interval
from services.profile.segments.routes import Segment, shown
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1",
    tags=["segments"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

_LAST = UUID(int=2**128 - 1)
_NEWEST = 2**31 - 1


class SegmentVersion(BaseModel):
    version: int
    name: str
    description: str
    rule: dict[str, Any] | None = Field(description="Null for a list.")
    made_by: str = Field(description="Who made it, as the audit log names them.")
    made_at: datetime


class MembershipChange(BaseModel):
    segment_id: UUID
    name: str | None = Field(description="Null for a segment that was deleted since.")
    entered: bool = Field(description="false: left.")
    at: datetime


class SegmentInterval(BaseModel):
    start: datetime
    entered: int
    exited: int
    members: int = Field(description="People in it at the end of the interval.")


class SegmentHistory(BaseModel):
    items: list[SegmentInterval] = Field(
        description="The oldest first; intervals in which nobody came or went are left out."
    )


@router.get(
    "/segments/{segment_id}/versions",
    summary="Versions of a segment, the latest first",
    responses=problem_responses(SegmentNotFound),
)
async def list_versions(
    segment_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[SegmentVersion]:
    segment = await service.read(session, caller.workspace_id, segment_id)
    key = paging.after(int)
    before = _NEWEST if key is None else int(key[0])
    found = await store.versions(session, caller.workspace_id, segment_id, before, paging.limit + 1)
    some = found[: paging.limit]
    return Page(
        items=[
            SegmentVersion(
                version=each.version,
                name=each.name,
                description=each.description,
                rule=None if segment.kind == LIST else each.definition,
                made_by=each.made_by,
                made_at=each.made_at,
            )
            for each in some
        ],
        next_cursor=encode_cursor(some[-1].version) if len(found) > paging.limit else None,
    )


@router.post(
    "/segments/{segment_id}/versions/{version}/restore",
    summary="Make a segment again what it was",
    responses=problem_responses(SegmentNotFound),
)
async def restore_version(
    segment_id: UUID,
    version: Annotated[int, Path(ge=1, lt=2**31)],
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
) -> Segment:
    """The old name, description and rule become a version of their own; nothing is lost."""
    changed = await service.restore(
        session, caller.workspace_id, segment_id, version, caller.subject
    )
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return shown(changed)


@router.get(
    "/segments/{segment_id}/history",
    summary="How many entered and left a segment",
    responses=problem_responses(SegmentNotFound),
)
async def read_history(
    segment_id: UUID,
    session: Session,
    caller: UserCaller,
    since: Annotated[AwareDatetime | None, Query(description="30 days ago, if absent.")] = None,
    interval: Interval = "day",
    timezone: Annotated[str, Query(description="IANA name in which days begin.")] = "UTC",
) -> SegmentHistory:
    if timezone not in available_timezones():
        raise InvalidRequest.at("#/query/timezone", "An IANA name such as Asia/Shanghai, please.")
    segment = await service.read(session, caller.workspace_id, segment_id)
    found = await history.counts(
        session,
        caller.workspace_id,
        segment_id,
        since=since or datetime.now(UTC) - timedelta(days=30),
        interval=interval,
        timezone=timezone,
        members=segment.members,
    )
    return SegmentHistory(
        items=[
            SegmentInterval(start=c.start, entered=c.entered, exited=c.exited, members=c.members)
            for c in found
        ]
    )


@router.get(
    "/profiles/{profile_id}/segments/history",
    summary="Segments a person entered and left, the latest first",
    responses=problem_responses(ProfileNotFound),
)
async def read_profile_history(
    profile_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[MembershipChange]:
    """With what is known of profiles that were merged into this one."""
    living = await canonical(session, caller.workspace_id, profile_id)
    before = _before(paging.after(str))
    found = await history.of_profile(session, caller.workspace_id, living, before, paging.limit + 1)
    some = found[: paging.limit]
    return Page(
        items=[
            MembershipChange(segment_id=c.segment_id, name=c.name, entered=c.entered, at=c.at)
            for c in some
        ],
        next_cursor=encode_cursor(str(some[-1].change_id)) if len(found) > paging.limit else None,
    )


def _before(key: tuple[str | int, ...] | None) -> UUID:
    if key is None:
        return _LAST
    try:
        return UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
