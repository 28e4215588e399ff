"""SQL for sources."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.sources.model import Source
from gateway.tables import SourceRow

_COLUMNS = (SourceRow.id, SourceRow.name, SourceRow.created_at)


async def add(
    session: AsyncSession, workspace_id: UUID, source_id: UUID, name: str
) -> Source | None:
    """The new source; None where its id is taken."""
    statement = (
        insert(SourceRow)
        .values(id=source_id, workspace_id=workspace_id, name=name)
        .on_conflict_do_nothing()
        .returning(*_COLUMNS)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Source.model_validate(row._mapping)


async def exists(session: AsyncSession, source_id: UUID) -> bool:
    statement = select(SourceRow.id).where(SourceRow.id == source_id)
    return (await session.execute(statement)).one_or_none() is not None


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[Source]:
    """Sources in the order they were made, from the first after ``after``."""
    statement = select(*_COLUMNS).order_by(SourceRow.id).limit(limit)
    if after is not None:
        statement = statement.where(SourceRow.id > after)
    return [Source.model_validate(row._mapping) for row in await session.execute(statement)]
