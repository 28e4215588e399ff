"""SQL of who entered and left segments when."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.arrays import plain, statement

Interval = Literal["hour", "day", "week", "month"]
Pair = tuple[str, str]
"""(profile id, segment id)."""

_APPEND = statement("""
INSERT INTO segment_change (workspace_id, change_id, segment_id, profile_id, entered, at)
SELECT :workspace_id, change_id, segment_id, profile_id, entered, to_timestamp(:now_ms / 1000.0)
FROM unnest(CAST(:change_ids AS uuid[]), CAST(:segment_ids AS uuid[]), CAST(:ids AS uuid[]),
            CAST(:entered AS boolean[])) AS new(change_id, segment_id, profile_id, entered)
""")

_OF_PROFILE = text("""
SELECT c.change_id, c.segment_id, s.name, c.entered, c.at
FROM segment_change c
LEFT JOIN segment s ON s.workspace_id = c.workspace_id AND s.segment_id = c.segment_id
WHERE c.workspace_id = :workspace_id
  AND (c.profile_id = :profile_id OR c.profile_id IN (
    SELECT alias_id FROM alias
    WHERE workspace_id = :workspace_id AND profile_id = :profile_id))
  AND c.change_id < :before
ORDER BY c.change_id DESC LIMIT :limit
""")

# The size at the end of an interval is today's, less all that changed since.
_COUNTS = text("""
WITH counted AS (
  SELECT date_trunc(:interval, at, :timezone) AS start,
         count(*) FILTER (WHERE entered) AS entered, count(*) FILTER (WHERE NOT entered) AS exited
  FROM segment_change
  WHERE workspace_id = :workspace_id AND segment_id = :segment_id AND at >= :since
  GROUP BY 1
)
SELECT start, entered, exited, CAST(:members AS bigint) - coalesce(
  sum(entered - exited) OVER (ORDER BY start DESC
                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS members
FROM counted ORDER BY start
""")


@dataclass(frozen=True, slots=True)
class StoredChange:
    """``name`` is None for a segment that was deleted since."""

    change_id: UUID
    segment_id: UUID
    name: str | None
    entered: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Counts:
    """People who came and went in the interval from ``start`` on; ``members`` at its end."""

    start: datetime
    entered: int
    exited: int
    members: int


async def append(
    session: AsyncSession,
    workspace_id: UUID,
    entered: Collection[Pair],
    exited: Collection[Pair],
    now_ms: int,
) -> None:
    pairs = [*entered, *exited]
    if not pairs:
        return
    await session.execute(
        _APPEND,
        {
            "workspace_id": workspace_id,
            "change_ids": plain([uuid7() for _ in pairs]),
            "segment_ids": plain([segment_id for _, segment_id in pairs]),
            "ids": plain([profile_id for profile_id, _ in pairs]),
            "entered": plain([True] * len(entered) + [False] * len(exited)),
            "now_ms": now_ms,
        },
    )


async def of_profile(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, before: UUID, limit: int
) -> Sequence[StoredChange]:
    """Of a profile and of those merged into it, the latest first."""
    parameters = {
        "workspace_id": workspace_id,
        "profile_id": profile_id,
        "before": before,
        "limit": limit,
    }
    return [StoredChange(**r._mapping) for r in await session.execute(_OF_PROFILE, parameters)]


async def counts(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    *,
    since: datetime,
    interval: Interval,
    timezone: str,
    members: int,
) -> list[Counts]:
    """By interval of ``timezone`` (IANA), those without a change left out; ``members``: now."""
    parameters = {
        "workspace_id": workspace_id,
        "segment_id": segment_id,
        "since": since,
        "interval": interval,
        "timezone": timezone,
        "members": members,
    }
    return [Counts(**r._mapping) for r in await session.execute(_COUNTS, parameters)]
