"""SQL for maps. Returns the models of the API, never rows."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.maps.model import JourneyMap, MapDocument, MapSummary
from services.orchestrator.maps.tables import JourneyMapRow

_COLUMNS = (
    JourneyMapRow.id,
    JourneyMapRow.version,
    JourneyMapRow.created_at,
    JourneyMapRow.updated_at,
    JourneyMapRow.document,
)


async def find(session: AsyncSession, map_id: UUID) -> JourneyMap | None:
    statement = select(*_COLUMNS).where(JourneyMapRow.id == map_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _map(row)


async def add(
    session: AsyncSession, workspace_id: UUID, map_id: UUID, document: MapDocument
) -> None:
    """Does nothing when there is a map of this id."""
    statement = (
        insert(JourneyMapRow)
        .values(id=map_id, workspace_id=workspace_id, version=1, document=_json(document))
        .on_conflict_do_nothing(index_elements=["id"])
    )
    await session.execute(statement)


async def replace(
    session: AsyncSession, map_id: UUID, version: int, document: MapDocument
) -> JourneyMap | None:
    """The changed map; None when ``version`` is not the stored one (or the map is gone)."""
    statement = (
        update(JourneyMapRow)
        .where(JourneyMapRow.id == map_id, JourneyMapRow.version == version)
        .values(document=_json(document), version=JourneyMapRow.version + 1, updated_at=func.now())
        .returning(*_COLUMNS)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else _map(row)


async def remove(session: AsyncSession, map_id: UUID) -> bool:
    statement = delete(JourneyMapRow).where(JourneyMapRow.id == map_id).returning(JourneyMapRow.id)
    return (await session.execute(statement)).one_or_none() is not None


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[MapSummary]:
    statement = select(*_COLUMNS).order_by(JourneyMapRow.id).limit(limit)
    if after is not None:
        statement = statement.where(JourneyMapRow.id > after)
    maps = [_map(row) for row in (await session.execute(statement)).all()]
    return [
        MapSummary(
            id=found.id,
            version=found.version,
            name=found.document.name,
            type=found.document.type,
            updated_at=found.updated_at,
        )
        for found in maps
    ]


def _json(document: MapDocument) -> dict[str, Any]:
    return document.model_dump(mode="json", by_alias=True)


def _map(row: Row[Any]) -> JourneyMap:
    return JourneyMap(
        id=row.id,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        # Not strict: JSON text brings times and numbers in their plain form.
        document=MapDocument.model_validate(row.document),
    )
