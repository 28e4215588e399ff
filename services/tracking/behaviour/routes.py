"""Summaries of people's behaviour over HTTP, for profile's predictions; streamed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from zoneinfo import available_timezones

import pyarrow as pa
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from services.contracts.tracking import BehaviourQuery
from services.kit.auth import ServiceCaller
from services.kit.clickhouse import ClickHouse, Columns
from services.kit.problems import InvalidRequest
from services.kit.strict import StrictRoute
from services.tracking.behaviour import compile
from services.tracking.events.routes import ARROW
from services.tracking.exports.formats import ArrowStream
from services.tracking.streaming import PiecewiseAnswer

internal_router = APIRouter(
    prefix="/internal/v1/behaviour",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)

_SETTINGS = {
    "max_execution_time": 600,
    # Groups beyond it go to disk, so that a workspace of any size fits the limit of a query.
    "max_bytes_before_external_group_by": 700_000_000,
    "max_block_size": 65_536,
    "max_threads": 2,
}


@internal_router.post("/summary")
async def summarise(
    body: BehaviourQuery, request: Request, caller: ServiceCaller
) -> StreamingResponse:
    _check(body)
    compiled = compile.summary(body)
    params = compiled.params | {"workspace_id": caller.workspace_id}
    pieces = _pieces(request.state.clickhouse, compiled, params)
    # What fails before the first piece is still a proper answer.
    return PiecewiseAnswer(await anext(pieces), pieces, ARROW)


async def _pieces(
    clickhouse: ClickHouse, compiled: compile.Compiled, params: dict[str, object]
) -> AsyncGenerator[bytes, None]:
    encoder = ArrowStream(compiled.schema)
    async with aclosing(clickhouse.stream(compiled.sql, params, _SETTINGS)) as blocks:
        async for columns in blocks:
            yield await asyncio.to_thread(_encoded, encoder, compiled.schema, columns)
    yield encoder.end()


def _encoded(encoder: ArrowStream, schema: pa.Schema, columns: Columns) -> bytes:
    arrays = [pa.array(c, each.type) for c, each in zip(columns, schema, strict=True)]
    return encoder.block(pa.record_batch(arrays, schema=schema))


def _check(query: BehaviourQuery) -> None:
    for name, at in (("since", query.since), ("as_of", query.as_of)):
        if at is not None and at.tzinfo is None:
            raise InvalidRequest.at(f"#/{name}", "Write the time with its zone.")
    if query.timezone not in available_timezones():
        raise InvalidRequest.at("#/timezone", "Use an IANA time zone name such as Asia/Shanghai.")
    if query.measure in ("purchases", "channels") and not query.events:
        raise InvalidRequest.at("#/events", f"{query.measure} needs the names of its events.")
