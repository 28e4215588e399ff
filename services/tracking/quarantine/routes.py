"""The quarantine over HTTP: what was refused and why, and trying it again."""

import base64
import json
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.contracts.tracking import Violation
from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import QuarantinedEventNotFound
from services.tracking.quarantine import service, store
from services.tracking.quarantine.store import Filter, Held

router = APIRouter(
    prefix="/api/v1/quarantine",
    tags=["quarantine"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)

RowId = Annotated[int, Path(ge=1, lt=2**63, description="`id` of the list.")]
Word = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
REASONS = (
    "Why it was refused: `invalid`, `too_large`, `missing_id`, `missing_event`, `unknown_type`, "
    "`nul`, `too_deep`, `too_many_keys`, `out_of_range`, `too_many_events` (the rest of a batch, "
    "one array), `not_mapped` (a line of a webhook's mapping cannot be followed), `no_mapping` (a "
    "webhook's whole body, for which there is none), `plan_violation`, `plan_blocked` (see "
    "`violations`), or `refused_by_store`."
)


class QuarantinedEvent(BaseModel):
    """An event that was refused, without its bytes."""

    id: int
    source_id: str = Field(description="The source whose write key came with it.")
    received_at: datetime
    reason: str = Field(description=REASONS, examples=["missing_id"])
    pointer: str = Field(
        description="JSON pointer into the request's body, so a batch's index is in it.",
        examples=["#/batch/3/userId"],
    )
    detail: str = Field(examples=["A usable userId or anonymousId is needed."])
    violations: list[Violation] = Field(
        description="The rules of the tracking plan it broke; empty for other reasons."
    )
    size_bytes: int
    replayed_at: datetime | None = Field(
        description="When a replay let it through; null while it is set aside."
    )


class QuarantinedBytes(QuarantinedEvent):
    raw: str | None = Field(
        description="The event exactly as it came, where it is UTF-8; else null.",
        examples=['{"type":"track","event":"Order Completed"}'],
    )
    raw_base64: str = Field(description="The same bytes in Base64, always.")


class ReplayFilter(BaseModel):
    """All conditions hold; without any, everything that is set aside is tried."""

    model_config = ConfigDict(extra="forbid")

    source_id: Word | None = None
    reason: Word | None = Field(None, examples=["plan_violation"])
    since: AwareDatetime | None = Field(None, description="Received not before.")
    until: AwareDatetime | None = Field(None, description="Received before.")


class ReplayRequest(BaseModel):
    """Give either `ids` or `filter`."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"filter": {"reason": "plan_violation"}}, {"ids": [17, 18]}]
        },
    )

    ids: list[Annotated[int, Field(ge=1, lt=2**63)]] | None = Field(
        None, min_length=1, max_length=service.MAX_ROWS
    )
    filter: ReplayFilter | None = None
    after: int = Field(
        0, ge=0, lt=2**63, description="`next_after` of the answer before, to go on from there."
    )

    @model_validator(mode="after")
    def _one_way(self) -> "ReplayRequest":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("Give either ids or filter.")
        return self


class StillRefused(BaseModel):
    id: int
    reason: str
    pointer: str = Field(description="JSON pointer into the event.")
    detail: str


class ReplayResult(BaseModel):
    replayed: int = Field(description="Entries let through by this call.")
    events: int = Field(description="Events they held, which are in the log now.")
    refused: list[StillRefused] = Field(
        description="Entries that do not pass yet; they stay as they are."
    )
    next_after: int | None = Field(
        description=f"A call looks at {service.MAX_ROWS} entries at most; while this is not null, "
        "repeat the call with it as `after`."
    )


@router.get("", summary="List refused events, newest first")
async def list_quarantine(
    caller: UserCaller,
    session: Session,
    paging: PagingParams,
    source_id: Annotated[Word | None, Query(description="Only of this source.")] = None,
    reason: Annotated[Word | None, Query(description=REASONS)] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(description="Received not before, zone included.", examples=["2026-03-01T00:00:00Z"]),
    ] = None,
    replayed: Annotated[
        bool | None, Query(description="Only those let through (or not) by a replay.")
    ] = None,
) -> Page[QuarantinedEvent]:
    """What ingestion set aside instead of accepting. A batch is answered with 200 although some of
    its events may be here: look here when events are missing.
    """
    wanted = Filter(source_id, reason, since, None, replayed)
    key = paging.after(int)
    found = await store.page(
        session, wanted, None if key is None else int(key[0]), paging.limit + 1
    )
    shown = found[: paging.limit]
    cursor = encode_cursor(shown[-1].id) if len(found) > paging.limit else None
    return Page(items=[QuarantinedEvent(**_fields(held)) for held in shown], next_cursor=cursor)


@router.get(
    "/{quarantined_id}",
    summary="Read a refused event with its bytes",
    responses=problem_responses(QuarantinedEventNotFound),
)
async def read_quarantined(
    quarantined_id: RowId, caller: UserCaller, session: Session
) -> QuarantinedBytes:
    found = await store.find(session, quarantined_id)
    if found is None:
        raise QuarantinedEventNotFound(f"No event {quarantined_id} is in quarantine.")
    held, raw = found
    return QuarantinedBytes(
        **_fields(held), raw=_text(raw), raw_base64=base64.b64encode(raw).decode()
    )


@router.post(
    "/replay",
    summary="Try refused events again",
    responses=problem_responses(QuarantinedEventNotFound, Unavailable),
)
async def replay_quarantine(
    body: ReplayRequest, caller: UserCaller, session: Session, request: Request
) -> ReplayResult:
    """Runs refused events through ingestion again, by the rules and the tracking plan of now. What
    passes becomes an ordinary event, once, with the time it was received at first; segments and
    journeys see it as they see any late event. Use it after a tracking plan was corrected.

    An event whose `messageId` was accepted meanwhile is let through and dropped as a duplicate.
    `refused_by_store` never passes: profiles and journeys have those events already.
    """
    chosen = body.filter or ReplayFilter()
    wanted = Filter(chosen.source_id, chosen.reason, chosen.since, chosen.until)
    done = await service.replay(
        session,
        request.state.appender,
        caller.workspace_id,
        ids=body.ids,
        wanted=wanted,
        after=body.after,
    )
    return ReplayResult(
        replayed=done.rows,
        events=done.events,
        refused=[
            StillRefused(id=r.id, reason=r.reason, pointer=r.pointer, detail=r.detail)
            for r in done.refused
        ],
        next_after=done.last_id,
    )


def _fields(held: Held) -> dict[str, object]:
    return {
        "id": held.id,
        "source_id": held.source_id,
        "received_at": held.received_at,
        "reason": held.reason,
        "pointer": held.pointer,
        "detail": held.detail,
        "violations": json.loads(held.violations)["violations"] if held.violations else [],
        "size_bytes": held.size_bytes,
        "replayed_at": held.replayed_at,
    }


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
