"""SQL of schedules."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.times import from_ms, to_ms


@dataclass(frozen=True, slots=True)
class Due:
    """A time of a live journey that has come."""

    journey_id: UUID
    version_id: UUID
    at: int
    cursor: str | None


async def put(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, version_id: UUID, at: int
) -> None:
    """The journey's next time, in place of any other."""
    await session.execute(
        text(
            """
            INSERT INTO schedule (workspace_id, journey_id, version_id, occurrence_at, cursor)
            VALUES (:ws, :journey, :version, :at, NULL)
            ON CONFLICT (journey_id) DO UPDATE SET version_id = excluded.version_id,
                occurrence_at = excluded.occurrence_at, cursor = NULL
            """
        ),
        {"ws": workspace_id, "journey": journey_id, "version": version_id, "at": from_ms(at)},
    )


async def drop(session: AsyncSession, workspace_id: UUID, journey_id: UUID) -> None:
    await session.execute(
        text("DELETE FROM schedule WHERE workspace_id = :ws AND journey_id = :journey"),
        {"ws": workspace_id, "journey": journey_id},
    )


async def first_due(session: AsyncSession, workspace_id: UUID, now: int) -> Due | None:
    rows = await session.execute(
        text(
            "SELECT s.journey_id, s.version_id, s.occurrence_at, s.cursor FROM schedule s "
            "JOIN journey j ON j.id = s.journey_id AND j.state = 'live' "
            "WHERE s.workspace_id = :ws AND s.occurrence_at <= :now "
            "ORDER BY s.occurrence_at LIMIT 1"
        ),
        {"ws": workspace_id, "now": from_ms(now)},
    )
    row = rows.first()
    if row is None:
        return None
    return Due(row.journey_id, row.version_id, to_ms(row.occurrence_at), row.cursor)


async def holds(session: AsyncSession, workspace_id: UUID, due: Due) -> bool:
    """Whether the row is still as it was read; then it is locked."""
    found = await session.scalar(
        text(
            "SELECT 1 FROM schedule s JOIN journey j ON j.id = s.journey_id AND j.state = 'live' "
            "WHERE s.workspace_id = :ws AND s.journey_id = :journey AND s.version_id = :version "
            "AND s.occurrence_at = :at AND s.cursor IS NOT DISTINCT FROM CAST(:cursor AS text) "
            "FOR UPDATE OF s"
        ),
        {
            "ws": workspace_id,
            "journey": due.journey_id,
            "version": due.version_id,
            "at": from_ms(due.at),
            "cursor": due.cursor,
        },
    )
    return found is not None


async def move_cursor(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, cursor: str
) -> None:
    await session.execute(
        text(
            "UPDATE schedule SET cursor = :cursor "
            "WHERE workspace_id = :ws AND journey_id = :journey"
        ),
        {"ws": workspace_id, "journey": journey_id, "cursor": cursor},
    )


async def next_at(session: AsyncSession, workspace_id: UUID) -> int | None:
    """When the first time of a live journey comes, ms."""
    at = await session.scalar(
        text(
            "SELECT min(s.occurrence_at) FROM schedule s "
            "JOIN journey j ON j.id = s.journey_id AND j.state = 'live' WHERE s.workspace_id = :ws"
        ),
        {"ws": workspace_id},
    )
    return None if at is None else to_ms(at)
