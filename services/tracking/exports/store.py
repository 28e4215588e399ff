"""Reads events for exports, block by block."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from uuid import UUID

import pyarrow as pa

from services.kit.clickhouse import ClickHouse, Columns
from services.tracking.events.store import FAR_FUTURE_MS, to_ms

_EVENTS = files(__package__).joinpath("events.sql").read_text()

MAX_SECONDS = 6 * 3600
# A block is a tenth of a row group, and the join must never hash the events instead of the map.
_SETTINGS = {
    "max_execution_time": MAX_SECONDS,
    "max_block_size": 8192,
    "query_plan_join_swap_table": "false",
    "max_threads": 2,
}
_TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field(name, _TIME if name.endswith("_at") else pa.string(), nullable=False)
        for name in (
            *("profile_id", "subject_id", "type", "event", "message_id", "source_id", "user_id"),
            *("anonymous_id", "occurred_at", "received_at", "properties", "traits", "context"),
        )
    ]
)
"""What every block looks like, and so every file, one without rows too."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: None stands for all."""

    event: str | None = None
    source_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    subjects: tuple[UUID, ...] = ()


def events(
    clickhouse: ClickHouse, workspace_id: UUID, wanted: Selection
) -> AsyncGenerator[Columns, None]:
    """Blocks of some thousand events each, for ``block``."""
    values = {
        "workspace_id": workspace_id,
        "event": wanted.event or "",
        "source_id": wanted.source_id or "",
        "since_ms": to_ms(wanted.since, -1),
        "subjects": list(wanted.subjects),
        "until_ms": to_ms(wanted.until, FAR_FUTURE_MS),
    }
    return clickhouse.stream(_EVENTS, values, _SETTINGS)


def block(columns: Columns) -> pa.RecordBatch:
    """Times come as milliseconds."""
    fields = zip(columns, SCHEMA, strict=True)
    return pa.record_batch([pa.array(c, field.type) for c, field in fields], schema=SCHEMA)
