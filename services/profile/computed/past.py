"""What computed traits remember of past events, as tracking tells it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

import pyarrow as pa

from services.contracts.tracking import AggregateQuery
from services.kit.http import ServiceClient
from services.profile.computed.aggregates import StoredAggregate
from services.rules.aggregates import Aggregate, State, aggregate_of, from_json

AGGREGATES_PER_QUERY = 20
CHUNK = 5000
"""States that are written in one transaction."""
_FETCH_SECONDS = 120.0

Row = tuple[str, str, State]
"""(aggregate id, profile or subject id, state)."""


async def recount(
    tracking: ServiceClient,
    workspace_id: UUID,
    counted: Sequence[StoredAggregate],
    subject_ids: Sequence[UUID],
    max_log_offset: int,
) -> list[Row]:
    """The states of some subjects (at most 10,000), each by itself, from their events up to an
    offset of the log. For profiles that are taken apart again: ``merge`` makes theirs of these."""
    known = {each.aggregate_id: aggregate_of(each.definition) for each in counted}
    found: list[Row] = []
    for start in range(0, len(counted), AGGREGATES_PER_QUERY):
        batch = counted[start : start + AGGREGATES_PER_QUERY]
        wanted = query(batch, max_log_offset, subject_ids=subject_ids)
        with TemporaryFile() as answer:
            await download(tracking, workspace_id, wanted, answer)
            chunks = await asyncio.to_thread(lambda file: list(rows(file, known)), answer)
        found += [row for part, _ in chunks for row in part]
    return found


def query(
    counted: Sequence[StoredAggregate],
    max_log_offset: int,
    *,
    min_feed_offset: int | None = None,
    subject_ids: Sequence[UUID] | None = None,
) -> AggregateQuery:
    return AggregateQuery.model_validate(
        {
            "aggregates": {each.aggregate_id: each.definition for each in counted},
            "max_log_offset": max_log_offset,
            "min_feed_offset": min_feed_offset,
            "subject_ids": subject_ids,
        }
    )


async def download(
    tracking: ServiceClient, workspace_id: UUID, query: AggregateQuery, into: IO[bytes]
) -> None:
    """The whole answer goes to a file first: ClickHouse is not held up by our writing."""
    async with tracking.stream(
        "POST",
        "/internal/v1/aggregates/query",
        workspace_id=workspace_id,
        content=query.model_dump_json(by_alias=True, exclude_none=True),
        headers={"Content-Type": "application/json"},
        timeout=_FETCH_SECONDS,
    ) as response:
        response.raise_for_status()
        async for part in response.aiter_bytes():
            await asyncio.to_thread(into.write, part)


def rows(answer: IO[bytes], known: Mapping[str, Aggregate]) -> Iterator[tuple[list[Row], float]]:
    """Chunks of the answer, and the share of it that is read with each."""
    size = max(1, answer.tell())
    answer.seek(0)
    with pa.ipc.open_stream(answer) as reader:
        for batch in reader:
            share = min(1.0, answer.tell() / size)
            for start in range(0, batch.num_rows, CHUNK):
                columns = (column.to_pylist() for column in batch.slice(start, CHUNK).columns)
                found = zip(*columns, strict=True)
                yield [(a, p, from_json(state, known[a])) for a, p, state in found], share
