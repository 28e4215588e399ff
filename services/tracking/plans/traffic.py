"""Reads from ClickHouse what traffic looks like and where it broke a plan."""

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any
from uuid import UUID

from services.kit.clickhouse import ClickHouse

_NAMES = files(__package__).joinpath("names.sql").read_text()
_SAMPLE = files(__package__).joinpath("sample.sql").read_text()
_VIOLATIONS = files(__package__).joinpath("violations.sql").read_text()
MAX_NAMES = 100
SAMPLE_PER_EVENT = 200

Position = tuple[int, int, int]
LAST: Position = (4_102_444_800_000, 0, 0)


@dataclass(frozen=True, slots=True)
class Broken:
    position: Position
    """(received at in ms, log offset, index in the row)."""
    source_id: str
    event: str
    message_id: str
    protocols: dict[str, Any]


async def names(
    clickhouse: ClickHouse, workspace_id: UUID, source_id: str | None, since: datetime
) -> list[tuple[str, int]]:
    """(event, how many) of the most frequent ones."""
    params = _params(workspace_id, source_id, since) | {"limit": MAX_NAMES}
    return [(event, total) for event, total in await clickhouse.query(_NAMES, params)]


async def sample(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    source_id: str | None,
    since: datetime,
    events: list[str],
) -> dict[str, list[dict[str, Any]]]:
    """Recent properties (or traits) by event name."""
    params = _params(workspace_id, source_id, since)
    rows = await clickhouse.query(
        _SAMPLE, params | {"events": events, "per_event": SAMPLE_PER_EVENT}
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for event, body in rows:
        found.setdefault(event, []).append(json.loads(body or "{}"))
    return found


async def violations(
    clickhouse: ClickHouse,
    workspace_id: UUID,
    plan_id: UUID,
    *,
    source_id: str | None,
    event: str | None,
    since: datetime,
    before: Position,
    limit: int,
) -> list[Broken]:
    params = _params(workspace_id, source_id, since) | {
        "plan_id": str(plan_id),
        "event": event or "",
        "before_ms": before[0],
        "before_offset": before[1],
        "before_index": before[2],
        "limit": limit,
    }
    rows = await clickhouse.query(_VIOLATIONS, params)
    return [
        Broken((ms, offset, index), source, name, message, json.loads(protocols))
        for ms, offset, index, source, name, message, protocols in rows
    ]


def _params(workspace_id: UUID, source_id: str | None, since: datetime) -> dict[str, Any]:
    return {
        "workspace_id": workspace_id,
        "source_id": source_id or "",
        "since_ms": int(since.timestamp() * 1000),
    }
