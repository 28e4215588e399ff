"""SQL of sweeps. A sweep changes only when people are due, never where they are."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.orchestrator.times import from_ms

BLOCK = 5_000


async def start(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    kind: Literal["resume", "move"],
    now: int,
    *,
    version_ids: Sequence[UUID] = (),
    per_minute: int | None,
) -> None:
    await session.execute(
        text(
            """
            INSERT INTO sweep (workspace_id, id, journey_id, kind, version_ids, per_minute,
                before, next_at)
            VALUES (:ws, :id, :journey, :kind, :versions, :per_minute, :now, :now)
            """
        ),
        {
            "ws": workspace_id,
            "id": uuid7(),
            "journey": journey_id,
            "kind": kind,
            "versions": list(version_ids),
            "per_minute": per_minute,
            "now": from_ms(now),
        },
    )


async def drop(session: AsyncSession, workspace_id: UUID, journey_id: UUID, kind: str) -> None:
    """Nobody further is released."""
    await session.execute(
        text(
            "DELETE FROM sweep WHERE workspace_id = :ws AND journey_id = :journey AND kind = :kind"
        ),
        {"ws": workspace_id, "journey": journey_id, "kind": kind},
    )


# Those who rest until the journey was resumed keep their order; what was moved is no longer before.
_RESUMED = """
    SELECT id FROM participant
    WHERE workspace_id = :ws AND run_at < :before AND journey_id = :journey
    ORDER BY run_at, id LIMIT :limit FOR UPDATE
"""
_MOVED = """
    SELECT id FROM participant
    WHERE workspace_id = :ws AND journey_id = :journey AND run_at IS NOT NULL
        AND version_id = ANY(CAST(:versions AS uuid[]))
        AND (CAST(:cursor AS uuid) IS NULL OR id > :cursor)
    ORDER BY id LIMIT :limit FOR UPDATE
"""
# A lease that somebody has is ended. Of those who are moved, nobody waits longer than the node
# holds them, and those who wait for events are claimed like all others.
_RELEASE = """
    WITH picked AS ({picked}), placed AS (
        SELECT id, row_number() OVER () - 1 AS place FROM picked),
    released AS (
        UPDATE participant p SET fence = p.fence + 1, awaits = {awaits},
            run_at = {earliest}(CAST(:next_at AS timestamptz)
                + make_interval(secs => placed.place * CAST(:gap AS float)){or_before})
        FROM placed WHERE p.id = placed.id RETURNING p.id)
    SELECT count(*) AS people, max(CAST(id AS text)) AS last FROM released
"""


async def release(session: AsyncSession, workspace_id: UUID) -> int | None:
    """Make the next block of one sweep due; how many those were, None where there is no sweep."""
    rows = await session.execute(
        text(
            "SELECT * FROM sweep WHERE workspace_id = :ws ORDER BY id LIMIT 1 "
            "FOR UPDATE SKIP LOCKED"
        ),
        {"ws": workspace_id},
    )
    sweep = rows.one_or_none()
    if sweep is None:
        return None
    resumed = sweep.kind == "resume"
    statement = _RELEASE.format(
        picked=_RESUMED if resumed else _MOVED,
        awaits="p.awaits" if resumed else "false",
        earliest="" if resumed else "least",
        or_before="" if resumed else ", p.run_at",
    )
    gap = 60 / sweep.per_minute if sweep.per_minute else 0.0
    values = {
        "ws": workspace_id,
        "journey": sweep.journey_id,
        "next_at": sweep.next_at,
        "gap": gap,
        "limit": BLOCK,
    }
    values |= (
        {"before": sweep.before}
        if resumed
        else {"versions": sweep.version_ids, "cursor": sweep.cursor}
    )
    released = (await session.execute(text(statement), values)).one()
    if released.people < BLOCK:
        await _end(session, workspace_id, sweep.id, sweep.journey_id if resumed else None)
    else:
        await session.execute(
            text(
                "UPDATE sweep SET cursor = CAST(:last AS uuid), "
                "next_at = next_at + make_interval(secs => CAST(:seconds AS float)) WHERE id = :id"
            ),
            {
                "id": sweep.id,
                "last": released.last,
                "seconds": released.people * gap,
            },
        )
    return int(released.people)


async def _end(
    session: AsyncSession, workspace_id: UUID, sweep_id: UUID, resumed: UUID | None
) -> None:
    await session.execute(
        text("DELETE FROM sweep WHERE workspace_id = :ws AND id = :id"),
        {"ws": workspace_id, "id": sweep_id},
    )
    if resumed is not None:
        await session.execute(
            text("UPDATE journey SET releasing = false WHERE workspace_id = :ws AND id = :journey"),
            {"ws": workspace_id, "journey": resumed},
        )
