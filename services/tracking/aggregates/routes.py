"""What computed traits remember of past events, for the profile service."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from io import BytesIO
from uuid import UUID

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from services.contracts.computed import Aggregate as Definition
from services.contracts.tracking import AggregateQuery
from services.kit.auth import ServiceCaller
from services.kit.clickhouse import ClickHouse
from services.kit.problems import InvalidRequest, Unavailable
from services.kit.strict import StrictRoute
from services.rules import RuleInvalid
from services.rules.aggregates import Aggregate, aggregate_of
from services.tracking.aggregates import store
from services.tracking.identity.known import check_known
from services.tracking.loader.store import loaded_offset

ARROW = "application/vnd.apache.arrow.stream"

internal_router = APIRouter(
    prefix="/internal/v1/aggregates",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)


@internal_router.post("/query")
async def query_aggregates(
    body: AggregateQuery, request: Request, caller: ServiceCaller
) -> StreamingResponse:
    """503 while ClickHouse does not hold the log up to ``max_log_offset`` yet, or what profile's
    change feed says of identities up to ``min_feed_offset``.
    """
    await check_known(request.state.sessionmaker, caller.workspace_id, body.min_feed_offset)
    wanted = [_aggregate(key, definition) for key, definition in body.aggregates.items()]
    loaded = await loaded_offset(request.state.sessionmaker, caller.workspace_id)
    if body.max_log_offset is not None and loaded < body.max_log_offset:
        raise Unavailable(f"ClickHouse holds the log up to {loaded} only.", retry_after_seconds=1)
    until = loaded if body.max_log_offset is None else body.max_log_offset
    answer = _answer(request.state.clickhouse, caller.workspace_id, wanted, until, body.subject_ids)
    return StreamingResponse(answer, media_type=ARROW, headers={"X-Log-Offset": str(until)})


def _aggregate(key: str, definition: Definition) -> Aggregate:
    try:
        found = aggregate_of(definition)
    except RuleInvalid as error:
        raise InvalidRequest.at(f"#/aggregates/{key}{error.pointer}", error.detail) from error
    if found.aggregate_id != key:
        raise InvalidRequest.at(f"#/aggregates/{key}", "The definition is of another aggregate.")
    return found


async def _answer(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    wanted: list[Aggregate],
    until: int,
    subject_ids: list[UUID] | None,
) -> AsyncGenerator[bytes, None]:
    """An Arrow stream, a piece per block that ClickHouse makes. A failure breaks it off."""
    sink = BytesIO()
    with pa.ipc.new_stream(sink, store.SCHEMA) as writer:
        for aggregate in wanted:
            states = store.states(clickhouse, workspace_id, aggregate, until, subject_ids)
            async with aclosing(states) as batches:
                async for batch in batches:
                    writer.write_batch(batch)
                    yield _taken(sink)
    yield _taken(sink)


def _taken(sink: BytesIO) -> bytes:
    written = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return written
