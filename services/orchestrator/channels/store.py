"""SQL for channels. Secrets leave it only for the sender."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.channels.tables import ChannelRow

_PUBLIC = (
    ChannelRow.id,
    ChannelRow.name,
    ChannelRow.type,
    ChannelRow.sink,
    ChannelRow.config,
    ChannelRow.created_at,
    ChannelRow.updated_at,
)


@dataclass(frozen=True, slots=True)
class Target:
    """A channel as the sender needs it, secrets included."""

    id: UUID
    type: str
    sink: bool
    config: dict[str, Any]
    secrets: dict[str, Any]
    callback_url: str | None = None
    """Where its provider says what became of messages; None where it cannot reach us."""


async def add(session: AsyncSession, workspace_id: UUID, values: dict[str, Any]) -> bool:
    """False when an earlier call with the same id made it."""
    statement = (
        insert(ChannelRow)
        .values(workspace_id=workspace_id, **values)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(ChannelRow.id)
    )
    return (await session.execute(statement)).first() is not None


async def find(session: AsyncSession, channel_id: UUID) -> Row[Any] | None:
    statement = select(*_PUBLIC).where(
        ChannelRow.id == channel_id, ChannelRow.archived_at.is_(None)
    )
    return (await session.execute(statement)).one_or_none()


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[Row[Any]]:
    statement = select(*_PUBLIC).where(ChannelRow.archived_at.is_(None))
    if after is not None:
        statement = statement.where(ChannelRow.id < after)
    rows = await session.execute(statement.order_by(ChannelRow.id.desc()).limit(limit))
    return list(rows.all())


async def change(session: AsyncSession, channel_id: UUID, values: dict[str, Any]) -> None:
    await session.execute(
        update(ChannelRow)
        .where(ChannelRow.id == channel_id)
        .values(**values, updated_at=func.now())
    )


async def keep_secrets(session: AsyncSession, channel_id: UUID) -> dict[str, Any]:
    """The secrets a replacement goes on with where it names no new ones."""
    found = await session.scalar(select(ChannelRow.secrets).where(ChannelRow.id == channel_id))
    return dict(found or {})


async def types(session: AsyncSession, channel_ids: Collection[UUID]) -> dict[UUID, str]:
    """Type by id, of channels that are not archived."""
    statement = select(ChannelRow.id, ChannelRow.type).where(
        ChannelRow.id.in_(channel_ids), ChannelRow.archived_at.is_(None)
    )
    return {row.id: row.type for row in await session.execute(statement)}


async def targets(session: AsyncSession, channel_ids: Collection[UUID]) -> dict[UUID, Target]:
    """Archived ones too: a journey that still uses one must not lose its messages."""
    statement = select(
        ChannelRow.id, ChannelRow.type, ChannelRow.sink, ChannelRow.config, ChannelRow.secrets
    ).where(ChannelRow.id.in_(channel_ids))
    return {row.id: Target(**row._mapping) for row in await session.execute(statement)}


async def names(session: AsyncSession, channel_ids: Collection[UUID]) -> dict[UUID, str]:
    """Name by id, of those that are not archived."""
    statement = select(ChannelRow.id, ChannelRow.name).where(
        ChannelRow.id.in_(channel_ids), ChannelRow.archived_at.is_(None)
    )
    return {row.id: row.name for row in await session.execute(statement)}


async def named(session: AsyncSession, names: Collection[str]) -> list[tuple[str, UUID]]:
    """Those of these names that are not archived; a name may be there more than once."""
    statement = select(ChannelRow.name, ChannelRow.id).where(
        ChannelRow.name.in_(names), ChannelRow.archived_at.is_(None)
    )
    return [(row.name, row.id) for row in await session.execute(statement)]
