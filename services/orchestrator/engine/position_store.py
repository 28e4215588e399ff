"""Where reading profile's feed has come to, and the workspaces it is read for."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


async def position(session: AsyncSession, workspace_id: UUID) -> int:
    """The last offset of profile's feed that was applied."""
    found = await session.scalar(
        text("SELECT position FROM feed_position WHERE workspace_id = :ws"), {"ws": workspace_id}
    )
    return int(found or 0)


async def move_position(session: AsyncSession, workspace_id: UUID, before: int, to: int) -> bool:
    """False when another process has moved it: then nothing of this block may be kept."""
    statement = text(
        "INSERT INTO feed_position (workspace_id, position) VALUES (:ws, :to) "
        "ON CONFLICT (workspace_id) DO UPDATE SET position = :to "
        "WHERE feed_position.position = :before RETURNING position"
    )
    moved = await session.execute(statement, {"ws": workspace_id, "before": before, "to": to})
    return moved.first() is not None


async def workspaces(session: AsyncSession) -> list[UUID]:
    """All workspaces background work walks."""
    return list(await session.scalars(text("SELECT workspace_id FROM workspace ORDER BY 1")))


async def register_workspaces(session: AsyncSession, workspace_ids: Sequence[UUID]) -> None:
    await session.execute(
        text(
            "INSERT INTO workspace (workspace_id) SELECT * FROM unnest(CAST(:ids AS uuid[])) "
            "ON CONFLICT DO NOTHING"
        ),
        {"ids": list(workspace_ids)},
    )
