"""The inventory of touchpoints over HTTP, and the channels of sources."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID, uuid5

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.contracts.tracking import Channel
from services.kit.auth import UserCaller
from services.kit.ids import uuid7
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import TooManyTouchpoints, TouchpointNotFound
from services.tracking.sources import store as sources
from services.tracking.touchpoints import service, store
from services.tracking.touchpoints.coverage import Declared, Entry

router = APIRouter(
    prefix="/api/v1/touchpoints",
    tags=["touchpoints"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)


class Touchpoint(BaseModel):
    """A place where customers meet you, as the events show it."""

    name: str
    channel: Channel | None = Field(description="Of its source; null while nobody said it.")
    source_id: str | None = Field(
        description="Null on a declared touchpoint: any source of its channel shows it."
    )
    event: str | None = Field(description="Null on a declared touchpoint that nothing tracks yet.")
    touchpoint_id: UUID | None = Field(description="Of a declared touchpoint, else null.")
    status: Literal["seen", "missing", "unplanned"] = Field(
        description="`seen`: planned or declared, and events came; `missing`: planned or declared, "
        "and none came; `unplanned`: events come that no plan and no declaration speaks of."
    )
    count: int = Field(description="Events received in the window.")
    first_at: datetime | None = Field(description="The first of them.")
    last_at: datetime | None
    violations: int = Field(description="How many of them broke a tracking plan and were accepted.")


class Coverage(BaseModel):
    """Counts of touchpoints in the whole inventory, whatever the filters."""

    planned: int = Field(description="`seen` and `missing` together.")
    seen: int
    missing: int
    unplanned: int
    share: float | None = Field(description="`seen` / `planned`, 0..1; null when none is planned.")


class Inventory(Page[Touchpoint]):
    coverage: Coverage
    window_days: int


class TouchpointCreate(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Order at the counter", "channel": "store", "event": "Order Completed"},
                {"name": "Hotline call", "channel": "call_centre"},
            ]
        },
    )

    name: str = Field(min_length=1, max_length=200, pattern=r"\S")
    channel: Channel
    event: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="The event that shows it; absent while there is none: it counts as missing.",
    )


class DeclaredTouchpoint(BaseModel):
    id: UUID
    name: str
    channel: Channel
    event: str | None
    created_at: datetime


class SourceChannel(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"channel": "mini_program"}]}
    )

    channel: Channel | None = Field(description="Null takes it away.")


def _new_id(
    caller: UserCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Repeat a call with the same key and it creates nothing new.",
        ),
    ] = None,
) -> UUID:
    if idempotency_key is None:
        return uuid7()
    return uuid5(caller.workspace_id, f"touchpoints {idempotency_key}")


@router.get("", summary="The inventory of touchpoints with its coverage")
async def list_touchpoints(
    request: Request,
    caller: UserCaller,
    paging: PagingParams,
    window_days: Annotated[int, Query(ge=1, le=365, description="How far to look back.")] = 30,
    status: Annotated[
        Literal["seen", "missing", "unplanned"] | None, Query(description="Only of this status.")
    ] = None,
    channel: Annotated[Channel | None, Query(description="Only of this channel.")] = None,
) -> Inventory:
    """What tracking plans and declarations promise against what arrives. A plan contributes each of
    its events for each source that runs it; the channel is the source's. Look through `missing` for
    gaps and through `unplanned` for what the plan forgot.
    """
    key = paging.after(str, str, str)
    found = await service.take(
        request.state.sessionmaker, request.state.clickhouse, caller.workspace_id, window_days
    )
    chosen = [
        entry
        for entry in found
        if (status is None or entry.status == status)
        and (channel is None or entry.channel == channel)
        and (key is None or entry.key > key)
    ]
    shown = chosen[: paging.limit]
    return Inventory(
        items=[_touchpoint(entry) for entry in shown],
        next_cursor=encode_cursor(*shown[-1].key) if len(chosen) > paging.limit else None,
        coverage=_coverage(found),
        window_days=window_days,
    )


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Declare a touchpoint",
    responses=problem_responses(TooManyTouchpoints),
)
async def declare_touchpoint(
    body: TouchpointCreate,
    caller: UserCaller,
    session: Session,
    touchpoint_id: Annotated[UUID, Depends(_new_id)],
) -> DeclaredTouchpoint:
    """For touchpoints that no tracking plan speaks of: of partners, in stores, on the phone."""
    if "\x00" in body.name or "\x00" in (body.event or ""):
        raise InvalidRequest.at("#/name", "U+0000 is not accepted.")
    if await store.count(session) >= store.MAX_DECLARED:
        raise TooManyTouchpoints(f"At most {store.MAX_DECLARED} touchpoints can be declared.")
    made = await store.add(
        session, caller.workspace_id, touchpoint_id, body.name, body.channel, body.event
    )
    return _declared(made)


@router.delete(
    "/{touchpoint_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Remove a declared touchpoint",
    responses=problem_responses(TouchpointNotFound),
)
async def remove_touchpoint(touchpoint_id: UUID, caller: UserCaller, session: Session) -> None:
    if not await store.remove(session, touchpoint_id):
        raise TouchpointNotFound(f"No declared touchpoint {touchpoint_id}.")


@router.put("/sources/{source_id}", summary="Say which channel a source belongs to")
async def set_source_channel(
    source_id: Annotated[
        str, Path(max_length=255, pattern=r"^[^\x00]+$", description="`id` of `/api/v1/sources`.")
    ],
    body: SourceChannel,
    caller: UserCaller,
    session: Session,
) -> SourceChannel:
    """Kept when tracking plans come and go."""
    await sources.set_source(session, caller.workspace_id, source_id, channel=body.channel)
    return body


def _coverage(found: list[Entry]) -> Coverage:
    seen, missing, unplanned = (
        sum(entry.status == status for entry in found)
        for status in ("seen", "missing", "unplanned")
    )
    planned = seen + missing
    share = seen / planned if planned else None
    return Coverage(planned=planned, seen=seen, missing=missing, unplanned=unplanned, share=share)


def _touchpoint(entry: Entry) -> Touchpoint:
    return Touchpoint(
        name=entry.name,
        channel=entry.channel,
        source_id=entry.source_id or None,
        event=entry.event,
        touchpoint_id=entry.touchpoint_id,
        status=entry.status,
        count=entry.count,
        first_at=entry.first_at,
        last_at=entry.last_at,
        violations=entry.violations,
    )


def _declared(made: Declared) -> DeclaredTouchpoint:
    return DeclaredTouchpoint(
        id=made.id,
        name=made.name,
        channel=made.channel,
        event=made.event,
        created_at=made.created_at,
    )
