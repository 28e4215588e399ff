"""Puts events and identity mappings straight into ClickHouse, for tests of what reads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa

from services.kit.clickhouse import ClickHouse


@dataclass
class StoredRow:
    subject_id: UUID
    event: str
    occurred_at: datetime
    properties: dict[str, Any] = field(default_factory=dict)
    log_offset: int = 1
    log_index: int = 0
    type: str = "track"
    group_id: str = ""
    message_id: str = field(default_factory=lambda: uuid4().hex)


async def store_events(
    clickhouse: ClickHouse, workspace_id: UUID, rows: Sequence[StoredRow]
) -> None:
    times = pa.array([r.occurred_at for r in rows], pa.timestamp("ms", tz="UTC"))
    table = pa.table(
        {
            "workspace_id": _uuids([workspace_id] * len(rows)),
            "source_id": ["source"] * len(rows),
            "message_id": [r.message_id for r in rows],
            "type": [r.type for r in rows],
            "event": [r.event for r in rows],
            "user_id": [""] * len(rows),
            "anonymous_id": [""] * len(rows),
            "group_id": [r.group_id for r in rows],
            "subject_id": _uuids([r.subject_id for r in rows]),
            "occurred_at": times,
            "original_at": times,
            "received_at": times,
            "properties": [json.dumps(r.properties) for r in rows],
            "traits": ["{}"] * len(rows),
            "context": ["{}"] * len(rows),
            "log_offset": pa.array([r.log_offset for r in rows], pa.uint64()),
            "log_index": pa.array([r.log_index for r in rows], pa.uint32()),
        }
    )
    await clickhouse.insert_arrow("events", table)


async def store_mapping(
    clickhouse: ClickHouse, workspace_id: UUID, profile_of: Mapping[UUID, UUID], version: int = 1
) -> None:
    if not profile_of:
        return
    table = pa.table(
        {
            "workspace_id": _uuids([workspace_id] * len(profile_of)),
            "subject_id": _uuids(list(profile_of)),
            "profile_id": _uuids(list(profile_of.values())),
            "version": pa.array([version] * len(profile_of), pa.uint64()),
        }
    )
    await clickhouse.insert_arrow("identity_map", table)


def _uuids(values: list[UUID]) -> pa.Array:
    return pa.array([value.bytes for value in values], pa.binary(16))
