"""Reads what computed traits remember of past events from the canonical view."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from uuid import UUID

import pyarrow as pa

from services.kit.clickhouse import ClickHouse
from services.rules.aggregates import Aggregate
from services.rules.compile_aggregates import state_query

SCHEMA = pa.schema(
    [("aggregate_id", pa.string()), ("profile_id", pa.string()), ("state", pa.string())]
)


async def states(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    aggregate: Aggregate,
    max_log_offset: int,
    subject_ids: Sequence[UUID] | None,
) -> AsyncGenerator[pa.RecordBatch, None]:
    """The state of ``aggregate`` per person, or per subject of ``subject_ids``: ``SCHEMA``."""
    person = "profile_id" if subject_ids is None else "subject_id"
    among = "type != 'outcome' AND log_offset <= {max_offset:UInt64}"
    parameters: dict[str, object] = {"workspace_id": workspace_id, "max_offset": max_log_offset}
    if subject_ids is not None:
        among += " AND subject_id IN {subject_ids:Array(UUID)}"
        parameters["subject_ids"] = list(subject_ids)
    query = state_query(
        aggregate,
        "person_events(workspace_id={workspace_id:UUID})",
        person=f"toString({person})",
        also=among,
    )
    async with aclosing(clickhouse.stream(query.sql, parameters | query.params)) as blocks:
        async for people, found in blocks:
            ids = pa.repeat(pa.scalar(aggregate.aggregate_id), len(people))
            yield pa.record_batch(
                [ids, pa.array(people, pa.string()), pa.array(found, pa.string())], schema=SCHEMA
            )
