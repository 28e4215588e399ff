"""People who stay in a stage for too long: SQL of when that is, and what is told of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change

_RESET = text("""
UPDATE stage SET
  stalls_at = since + make_interval(secs => CAST(:seconds AS double precision)), stalled = false
WHERE workspace_id = :workspace_id AND model_id = :model_id AND stage_id = :stage_id
""")

_BEGIN = text("""
UPDATE stage s SET stalls_at = NULL, stalled = true
FROM (
  SELECT profile_id, model_id FROM stage
  WHERE workspace_id = :workspace_id AND stalls_at <= to_timestamp(:now_ms / 1000.0)
  ORDER BY stalls_at, profile_id, model_id LIMIT :limit
) AS due
WHERE s.workspace_id = :workspace_id
  AND s.profile_id = due.profile_id AND s.model_id = due.model_id
RETURNING s.profile_id::text AS profile_id, s.model_id::text AS model_id, s.stage_id,
  CAST(round(extract(epoch FROM s.since) * 1000) AS bigint) AS since_ms
""")

Seconds = Mapping[tuple[str, str], int]
"""By (model id, stage id), after how many seconds one stalls there."""


def seconds_of(definition: Mapping[str, Any]) -> dict[str, int]:
    """By stage id, of a stored model; stages without such a time lack."""
    return {
        stage["id"]: stage["stalls_after_seconds"]
        for stage in definition["stages"]
        if stage.get("stalls_after_seconds") is not None
    }


async def reset(
    session: AsyncSession, workspace_id: UUID, model_id: UUID, definition: Mapping[str, Any]
) -> None:
    """After a model was published anew: everybody's timer runs from when they came."""
    seconds = seconds_of(definition)
    for stage in definition["stages"]:
        await session.execute(
            _RESET,
            {
                "workspace_id": workspace_id,
                "model_id": model_id,
                "stage_id": stage["id"],
                "seconds": seconds.get(stage["id"]),
            },
        )


async def begin(session: AsyncSession, workspace_id: UUID, now_ms: int, limit: int) -> list[Change]:
    """Everybody whose time has come, told of once for each stay in a stage."""
    parameters = {"workspace_id": workspace_id, "now_ms": now_ms, "limit": limit}
    found = (await session.execute(_BEGIN, parameters)).all()
    return [
        Change(
            "stage.stalled",
            row.profile_id,
            now_ms,
            {"model_id": row.model_id, "stage_id": row.stage_id, "since": row.since_ms},
        )
        for row in sorted(found, key=lambda row: (row.since_ms, row.profile_id, row.model_id))
    ]
