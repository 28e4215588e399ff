"""SQL for devices."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.devices.model import Device
from services.orchestrator.devices.tables import DeviceRow

_PUBLIC = (
    DeviceRow.id,
    DeviceRow.profile_id,
    DeviceRow.kind,
    DeviceRow.app,
    DeviceRow.created_at,
    DeviceRow.last_seen_at,
)
Place = tuple[UUID, str, str]
"""Profile, kind and app."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What is needed to reach a device."""

    id: UUID
    token: str
    keys: dict[str, Any] | None


async def put(session: AsyncSession, values: dict[str, Any]) -> Device:
    """A token belongs to whom it was said of last: phones change hands."""
    statement = insert(DeviceRow).values(**values)
    statement = statement.on_conflict_do_update(
        index_elements=["workspace_id", "kind", "app", "token"],
        set_={
            "profile_id": statement.excluded.profile_id,
            "keys": statement.excluded["keys"],
            "last_seen_at": func.now(),
        },
    )
    row = (await session.execute(statement.returning(*_PUBLIC))).one()
    return Device(**row._mapping)


async def page(
    session: AsyncSession, after: UUID | None, limit: int, profile_id: UUID | None
) -> list[Device]:
    """Newest first."""
    statement = select(*_PUBLIC).order_by(DeviceRow.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(DeviceRow.id < after)
    if profile_id is not None:
        statement = statement.where(DeviceRow.profile_id == profile_id)
    return [Device(**row._mapping) for row in await session.execute(statement)]


async def remove(session: AsyncSession, device_id: UUID) -> bool:
    statement = delete(DeviceRow).where(DeviceRow.id == device_id).returning(DeviceRow.id)
    return (await session.execute(statement)).first() is not None


async def latest(session: AsyncSession, profile_ids: Collection[UUID]) -> dict[Place, UUID]:
    """Of each person, kind and app the device that was seen last."""
    rows = await session.execute(
        select(DeviceRow.profile_id, DeviceRow.kind, DeviceRow.app, DeviceRow.id)
        .distinct(DeviceRow.profile_id, DeviceRow.kind, DeviceRow.app)
        .where(DeviceRow.profile_id.in_(profile_ids))
        .order_by(
            DeviceRow.profile_id,
            DeviceRow.kind,
            DeviceRow.app,
            DeviceRow.last_seen_at.desc(),
            DeviceRow.id.desc(),
        )
    )
    return {(row.profile_id, row.kind, row.app): row.id for row in rows}


async def reach(session: AsyncSession, device_ids: Collection[UUID]) -> dict[UUID, Reach]:
    statement = select(DeviceRow.id, DeviceRow.token, DeviceRow.keys)
    rows = await session.execute(statement.where(DeviceRow.id.in_(device_ids)))
    return {row.id: Reach(row.id, row.token, row.keys) for row in rows}


async def remove_dead(session: AsyncSession, workspace_id: UUID, dead: Collection[Reach]) -> None:
    """Forgets devices whose address was found dead, unless they said a new one meanwhile."""
    await session.execute(
        text(
            "DELETE FROM device d "
            "USING unnest(CAST(:ids AS uuid[]), CAST(:tokens AS text[])) AS u (id, token) "
            "WHERE d.workspace_id = :ws AND d.id = u.id AND d.token = u.token"
        ),
        {
            "ws": workspace_id,
            "ids": [each.id for each in dead],
            "tokens": [each.token for each in dead],
        },
    )
