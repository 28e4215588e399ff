"""Events over HTTP: search and timelines for users; scans and leaf times for the other services."""

from collections.abc import AsyncIterator
from datetime import datetime
from io import BytesIO
from typing import Annotated
from uuid import UUID

import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from services.contracts.rules import EventNode, SequenceNode
from services.contracts.tracking import EventScan, LeafQuery, StoredEvent
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.pagination import Page, PagingParams, decode_cursor, encode_cursor
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.rules import Leaf, RuleInvalid, normalise
from services.tracking.errors import AccountNotFound
from services.tracking.events import accounts, store
from services.tracking.events.store import Position
from services.tracking.identity.known import check_known
from services.tracking.loader.store import loaded_offset

ARROW = "application/vnd.apache.arrow.stream"

router = APIRouter(
    prefix="/api/v1",
    tags=["events"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)

EventName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*$",
        description="Only events of exactly this name.",
        examples=["Order Completed"],
    ),
]
Since = Annotated[
    datetime | None,
    Query(description="Not before, zone included.", examples=["2026-03-01T00:00:00Z"]),
]
Until = Annotated[
    datetime | None, Query(description="Before, zone included.", examples=["2026-04-01T00:00:00Z"])
]


def check_zones(since: datetime | None, until: datetime | None) -> None:
    """``InvalidRequest`` at the parameter whose time names no zone."""
    for name, at in (("since", since), ("until", until)):
        if at is not None and at.tzinfo is None:
            raise InvalidRequest.at(f"#/query/{name}", "Write the time with its zone.")


@router.get("/events", summary="Search events, newest first")
async def search_events(
    request: Request,
    caller: UserCaller,
    paging: PagingParams,
    event: EventName = None,
    since: Since = None,
    until: Until = None,
) -> Page[StoredEvent]:
    """Everything that was accepted, optionally of one event name and one interval of time."""
    check_zones(since, until)
    found = await store.search(
        request.state.clickhouse,
        caller.workspace_id,
        event=event,
        since=since,
        until=until,
        before=_before(paging.after(int, int, int)),
        limit=paging.limit + 1,
    )
    return _page(found, paging.limit)


@router.get("/profiles/{profile_id}/events", summary="The timeline of a person, newest first")
async def read_timeline(
    profile_id: UUID, request: Request, caller: UserCaller, paging: PagingParams
) -> Page[StoredEvent]:
    """Includes what happened under every identifier that now belongs to the person; an id that was
    merged away shows the timeline of the person it became part of.
    """
    clickhouse = request.state.clickhouse
    person = await store.canonical(clickhouse, caller.workspace_id, profile_id)
    before = _before(paging.after(int, int, int))
    found = await store.timeline(clickhouse, caller.workspace_id, person, before, paging.limit + 1)
    return _page(found, paging.limit)


@router.get(
    "/accounts/{account_id}/events",
    summary="The timeline of an account, newest first",
    responses=problem_responses(AccountNotFound),
)
async def read_account_timeline(
    account_id: UUID, request: Request, caller: UserCaller, paging: PagingParams
) -> Page[StoredEvent]:
    """Events that name the account (by `groupId` or `context.groupId`), and what its people did
    from their first group call until they left it; of more than 1,000 people, of those with the
    latest group calls.
    """
    account = await accounts.spans(request.state.profile, caller.workspace_id, account_id)
    before = _before(paging.after(int, int, int))
    found = await accounts.timeline(
        request.state.clickhouse, caller.workspace_id, account, before, paging.limit + 1
    )
    return _page(found, paging.limit)


@internal_router.post("/events/scan")
async def scan_events(body: EventScan, request: Request, caller: ServiceCaller) -> Response:
    after = store.FIRST
    if body.cursor is not None:
        ms, offset, index = decode_cursor(body.cursor, "#/cursor", int, int, int)
        after = (int(ms), int(offset), int(index))
    table = await store.scan(request.state.clickhouse, caller.workspace_id, body, after)
    headers = {}
    if table.num_rows == body.limit:
        last = table.slice(table.num_rows - 1).to_pylist()[0]
        headers["X-Next-Cursor"] = encode_cursor(
            last["occurred_at_ms"], last["log_offset"], last["log_index"]
        )
    return _arrow(table.drop_columns(["log_offset", "log_index"]), headers)


@internal_router.post("/rules/query")
async def query_leaves(body: LeafQuery, request: Request, caller: ServiceCaller) -> Response:
    """503 while ClickHouse does not hold the log up to ``max_log_offset`` yet, or what profile's
    change feed says of identities up to ``min_feed_offset``.
    """
    await check_known(request.state.sessionmaker, caller.workspace_id, body.min_feed_offset)
    loaded = await loaded_offset(request.state.sessionmaker, caller.workspace_id)
    if body.max_log_offset is not None and loaded < body.max_log_offset:
        raise Unavailable(f"ClickHouse holds the log up to {loaded} only.", retry_after_seconds=1)
    until = loaded if body.max_log_offset is None else body.max_log_offset
    leaves = [_leaf(leaf_id, node) for leaf_id, node in body.leaves.items()]

    async def tables() -> AsyncIterator[pa.Table]:
        for leaf in leaves:
            yield await store.leaf_states(
                request.state.clickhouse, caller.workspace_id, leaf, until, body.subjects
            )

    # One leaf at a time: each may have a row for everybody.
    pieces = _arrow_stream(tables())
    # A ClickHouse that is away is noticed before anything is answered.
    first = await anext(pieces)

    async def answer() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    headers = {"X-Log-Offset": str(until)}
    return StreamingResponse(answer(), media_type=ARROW, headers=headers)


def _leaf(leaf_id: str, node: EventNode | SequenceNode) -> Leaf:
    try:
        found = normalise(node).leaves
    except RuleInvalid as error:
        raise InvalidRequest.at(f"#/leaves/{leaf_id}{error.pointer}", error.detail) from error
    for leaf in found:
        if leaf.leaf_id == leaf_id:
            return leaf
    raise InvalidRequest.at(f"#/leaves/{leaf_id}", "The node does not contain a leaf of this id.")


async def _arrow_stream(tables: AsyncIterator[pa.Table]) -> AsyncIterator[bytes]:
    """Tables of one schema as one stream, each sent as soon as it is there."""
    sink = BytesIO()
    writer = None
    async for table in tables:
        writer = writer or pa.ipc.new_stream(sink, table.schema)
        writer.write_table(table)
        yield sink.getvalue()
        sink.seek(0)
        sink.truncate()
    if writer is not None:
        writer.close()
        yield sink.getvalue()


def _arrow(table: pa.Table, headers: dict[str, str]) -> Response:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW, headers=headers)


def _before(key: tuple[str | int, ...] | None) -> Position:
    if key is None:
        return store.LAST
    ms, offset, index = key
    return int(ms), int(offset), int(index)


def _page(found: list[tuple[Position, StoredEvent]], limit: int) -> Page[StoredEvent]:
    shown = found[:limit]
    more = len(found) > limit
    cursor = encode_cursor(*shown[-1][0]) if more else None
    return Page(items=[event for _, event in shown], next_cursor=cursor)
