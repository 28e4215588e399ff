"""SQL of what tracking knows of sources: channel, tracking plan, webhook."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.tracking import Channel, PlanMode
from services.tracking.tables import SourceSettingRow

_CHANGES = text(
    "SELECT workspace_id, source_id, plan_id, plan_version, mode, webhook_version, revision "
    "FROM source_setting_changes(:after)"
)
# Held until the commit: a reader that saw revision 8 will not find 7 appearing later.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('plans', 0))")
_NEXT = text("SELECT nextval('source_setting_revision')")


@dataclass(frozen=True, slots=True)
class Change:
    workspace_id: UUID
    source_id: str
    plan_id: UUID | None
    version: int | None
    mode: PlanMode | None
    webhook_version: int | None
    revision: int


@dataclass(frozen=True, slots=True)
class Setting:
    source_id: str
    channel: Channel | None
    plan_id: UUID | None
    version: int | None
    mode: PlanMode | None
    changed_at: datetime


_SETTING = (
    SourceSettingRow.source_id,
    SourceSettingRow.channel,
    SourceSettingRow.plan_id,
    SourceSettingRow.plan_version,
    SourceSettingRow.mode,
    SourceSettingRow.changed_at,
)


async def changes(session: AsyncSession, after: int) -> list[Change]:
    """Settings of all workspaces that changed after revision ``after``, in that order."""
    return [Change(*row) for row in await session.execute(_CHANGES, {"after": after})]


async def settings(session: AsyncSession, plan_id: UUID | None = None) -> list[Setting]:
    """All of the workspace, or of the sources that run a plan."""
    statement = select(*_SETTING).order_by(SourceSettingRow.source_id)
    if plan_id is not None:
        statement = statement.where(SourceSettingRow.plan_id == plan_id)
    return [_setting(row) for row in await session.execute(statement)]


async def settings_of(session: AsyncSession, source_ids: Sequence[str]) -> list[Setting]:
    statement = select(*_SETTING).where(SourceSettingRow.source_id.in_(source_ids))
    return [_setting(row) for row in await session.execute(statement)]


async def set_source(
    session: AsyncSession, workspace_id: UUID, source_id: str, **values: Any
) -> Setting:
    """Changes the columns named; what is not named stays, or is empty on a source not yet known."""
    revision = await next_revision(session)
    changed = {**values, "revision": revision, "changed_at": func.clock_timestamp()}
    statement = (
        insert(SourceSettingRow)
        .values(workspace_id=workspace_id, source_id=source_id, **changed)
        .on_conflict_do_update(
            index_elements=[SourceSettingRow.workspace_id, SourceSettingRow.source_id], set_=changed
        )
        .returning(*_SETTING)
    )
    return _setting((await session.execute(statement)).one())


async def next_revision(session: AsyncSession) -> int:
    """Of what ingestion follows; no other transaction gets one before this one ends."""
    await session.execute(_LOCK)
    return int((await session.execute(_NEXT)).scalar_one())


def _setting(row: Any) -> Setting:
    return Setting(*row)
