"""Tracking plans and traffic over HTTP: violations found, and drafts from what was seen."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, ValidationError

from services.kit.auth import UserCaller
from services.kit.clickhouse import ClickHouse
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import TrackingPlanNotFound
from services.tracking.plans import infer, store, traffic
from services.tracking.plans.model import (
    InferRequest,
    PlanDocument,
    PlanDraft,
    PlannedEvent,
    PlanViolationEvent,
    SeenEvent,
    SeenPath,
    SourceId,
)
from services.tracking.plans.traffic import Broken, Position
from services.tracking.quarantine import store as quarantine
from services.tracking.quarantine.store import Filter, Held

router = APIRouter(
    prefix="/api/v1/tracking-plans",
    tags=["tracking plans"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
DEFAULT_DAYS = 7
# In the order of events, the quarantine's entries stand after those of the log at the same time.
_QUARANTINE_OFFSET = 2**62


@router.post("/infer", summary="Draft a plan from observed traffic")
async def infer_plan(body: InferRequest, request: Request, caller: UserCaller) -> PlanDraft:
    """Looks at the 100 most frequent event names and the 200 latest events of each. What is
    optional, an enumeration or a mistake, only people know: read the draft before using it.
    """
    clickhouse: ClickHouse = request.state.clickhouse
    since = datetime.now(UTC) - timedelta(days=body.days)
    names = await traffic.names(clickhouse, caller.workspace_id, body.source_id, since)
    samples = await traffic.sample(
        clickhouse, caller.workspace_id, body.source_id, since, [name for name, _ in names]
    )
    events: dict[str, PlannedEvent] = {}
    seen: list[SeenEvent] = []
    for name, count in names:
        sampled = samples.get(name, [])
        shape = infer.observe(sampled)
        events[name] = PlannedEvent(json_schema=infer.schema(shape, body.required_share))
        found = [SeenPath(path=p, types=t, share=s) for p, t, s in infer.paths(shape)]
        seen.append(SeenEvent(event=name, count=count, sampled=len(sampled), paths=found))
    return PlanDraft(document=PlanDocument(events=events), seen=seen)


@router.get(
    "/{plan_id}/violations",
    summary="List events that broke a plan, newest first",
    responses=problem_responses(TrackingPlanNotFound),
)
async def list_violations(
    plan_id: UUID,
    request: Request,
    caller: UserCaller,
    paging: PagingParams,
    source_id: Annotated[SourceId | None, Query(description="Only of this source.")] = None,
    event: Annotated[SourceId | None, Query(description="Only events of this name.")] = None,
    since: Annotated[
        AwareDatetime | None,
        Query(description=f"Received not before; absent: {DEFAULT_DAYS} days ago."),
    ] = None,
) -> Page[PlanViolationEvent]:
    """Accepted and quarantined ones together, in any version of the plan. Accepted events show up
    once the analytics store holds them, which takes a second or so.
    """
    since = since or datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    key = paging.after(int, int, int)
    before: Position = traffic.LAST if key is None else (int(key[0]), int(key[1]), int(key[2]))
    limit = paging.limit + 1
    # Not the request's own transaction: it would stay open while ClickHouse searches.
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        if await store.find(session, plan_id) is None:
            raise TrackingPlanNotFound(f"No tracking plan {plan_id}.")
        refused = await quarantine.broken_plan(
            session,
            plan_id,
            Filter(source_id=source_id, since=since),
            event=event,
            before=_row_before(before),
            limit=limit,
        )
    accepted = await traffic.violations(
        request.state.clickhouse,
        caller.workspace_id,
        plan_id,
        source_id=source_id,
        event=event,
        since=since,
        before=before,
        limit=limit,
    )
    found = [(broken.position, _accepted(broken)) for broken in accepted]
    found += [((ms, _QUARANTINE_OFFSET, held.id), _refused(held)) for ms, held in refused]
    found.sort(key=lambda item: item[0], reverse=True)
    cursor = encode_cursor(*found[paging.limit - 1][0]) if len(found) > paging.limit else None
    shown = [item for _, item in found[: paging.limit] if item is not None]
    return Page(items=shown, next_cursor=cursor)


def _row_before(before: Position) -> tuple[int, int]:
    ms, offset, index = before
    return (ms, index if offset == _QUARANTINE_OFFSET else 0)


def _accepted(broken: Broken) -> PlanViolationEvent | None:
    """None for what a client wrote under our names where no plan was there to correct it."""
    said = broken.protocols
    notes: dict[str, Any] = {
        "received_at": datetime.fromtimestamp(broken.position[0] / 1000, UTC),
        "source_id": broken.source_id,
        "event": broken.event,
        "message_id": broken.message_id,
        "version": said.get("version"),
        "quarantined_id": None,
        "replayed": False,
        "violations": said.get("violations"),
    }
    dropped = [said.get("omitted", []), said.get("omitted_on_violation", [])]
    if not all(isinstance(part, list) for part in dropped):
        return None
    try:
        return PlanViolationEvent.model_validate(notes | {"omitted": [*dropped[0], *dropped[1]]})
    except ValidationError:
        return None


def _refused(held: Held) -> PlanViolationEvent:
    return PlanViolationEvent.model_validate(
        {
            **_record(held),
            "received_at": held.received_at,
            "source_id": held.source_id,
            "message_id": None,
            "quarantined_id": held.id,
            "replayed": held.replayed_at is not None,
            "omitted": [],
        }
    )


def _record(held: Held) -> dict[str, object]:
    record: dict[str, object] = json.loads(held.violations or "{}")
    return {name: record[name] for name in ("event", "version", "violations")}
