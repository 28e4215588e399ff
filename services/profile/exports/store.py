"""SQL of exports, and of the rows they copy."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.erasure.personal import Held, Person
from services.profile.exports.tables import ProfileExportPartRow, ProfileExportRow

_OPEN = text("SELECT workspace_id, export_id FROM profile_export_open()")
_EXPIRE = text("SELECT profile_export_expire(:now)")


async def open_exports(session: AsyncSession) -> list[tuple[UUID, UUID]]:
    """(workspace, export) of all that are being made, the oldest first."""
    return [(workspace_id, export_id) for workspace_id, export_id in await session.execute(_OPEN)]


async def expire(session: AsyncSession, now: datetime) -> None:
    """Deletes what is too old, of all workspaces."""
    await session.execute(_EXPIRE, {"now": now})


async def add(session: AsyncSession, row: ProfileExportRow) -> None:
    session.add(row)
    await session.flush()


async def find(
    session: AsyncSession, workspace_id: UUID, export_id: UUID
) -> ProfileExportRow | None:
    row = ProfileExportRow
    statement = select(row).where(row.workspace_id == workspace_id, row.export_id == export_id)
    return (await session.scalars(statement)).one_or_none()


async def running(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID
) -> ProfileExportRow | None:
    row = ProfileExportRow
    statement = select(row).where(
        row.workspace_id == workspace_id, row.profile_id == profile_id, row.state == "running"
    )
    return (await session.scalars(statement.limit(1))).one_or_none()


async def rows_of(
    session: AsyncSession, workspace_id: UUID, person: Person, held: Held
) -> list[dict[str, Any]]:
    """The person's rows of a table, without the workspace."""
    table: Any = held.row.__table__
    columns = [column for column in table.columns if column.name != "workspace_id"]
    found = await session.execute(select(*columns).where(held.of(workspace_id, person)))
    return [dict(row) for row in found.mappings()]


async def add_part(session: AsyncSession, row: ProfileExportRow, number: int, data: bytes) -> None:
    values = {
        "workspace_id": row.workspace_id,
        "export_id": row.export_id,
        "number": number,
        "profile_id": row.profile_id,
        "data": data,
    }
    await session.execute(insert(ProfileExportPartRow).values(values))


async def drop_parts(session: AsyncSession, row: ProfileExportRow) -> None:
    part = ProfileExportPartRow
    await session.execute(
        delete(part).where(part.workspace_id == row.workspace_id, part.export_id == row.export_id)
    )


async def settle(session: AsyncSession, row: ProfileExportRow, **values: Any) -> bool:
    """False where it is not running any more: the person was erased meanwhile."""
    export = ProfileExportRow
    changed = await session.execute(
        update(export)
        .where(
            export.workspace_id == row.workspace_id,
            export.export_id == row.export_id,
            export.state == "running",
        )
        .values(**values)
        .returning(export.export_id)
    )
    return changed.first() is not None


async def parts(
    maker: SessionMaker, workspace_id: UUID, export_id: UUID
) -> AsyncGenerator[bytes, None]:
    """The file piece by piece, each in a transaction of its own."""
    part = ProfileExportPartRow
    number = 0
    while True:
        async with workspace_tx(maker, workspace_id) as session:
            data = await session.scalar(
                select(part.data).where(
                    part.workspace_id == workspace_id,
                    part.export_id == export_id,
                    part.number == number,
                )
            )
        if data is None:
            return
        yield data
        number += 1
