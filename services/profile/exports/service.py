"""Begins copies of a person's data."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.profile.errors import ProfileExportNotFound, ProfileExportNotReady
from services.profile.exports import store
from services.profile.exports.tables import ProfileExportRow
from services.profile.profiles.service import canonical

KEEP = timedelta(days=7)


async def begin(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, now: datetime
) -> ProfileExportRow:
    """A new copy, or the one of this person that is being made."""
    living = await canonical(session, workspace_id, profile_id)
    if (known := await store.running(session, workspace_id, living)) is not None:
        return known
    row = ProfileExportRow(
        workspace_id=workspace_id,
        export_id=uuid7(),
        profile_id=living,
        state="running",
        size_bytes=0,
        requested_at=now,
        expires_at=now + KEEP,
    )
    await store.add(session, row)
    return row


async def get(session: AsyncSession, workspace_id: UUID, export_id: UUID) -> ProfileExportRow:
    row = await store.find(session, workspace_id, export_id)
    if row is None:
        raise ProfileExportNotFound(f"There is no export {export_id}.")
    return row


async def get_ready(session: AsyncSession, workspace_id: UUID, export_id: UUID) -> ProfileExportRow:
    row = await get(session, workspace_id, export_id)
    if row.state != "ready":
        raise ProfileExportNotReady(f"The export {export_id} is being made.")
    return row
