"""SQL of sources' webhooks."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.tables import SourceWebhookRow

_ROW = SourceWebhookRow
# Versions share the settings' sequence: a webhook made anew never has the version of an old one.
_NEXT = text("SELECT nextval('source_setting_revision')")


@dataclass(frozen=True, slots=True)
class StoredWebhook:
    """``secrets``: by name, ``{"secret", "set_at"}``."""

    version: int
    signature: dict[str, Any]
    mapping: dict[str, Any]
    secrets: dict[str, dict[str, str]]
    changed_at: datetime


_COLUMNS = (_ROW.version, _ROW.signature, _ROW.mapping, _ROW.secrets, _ROW.changed_at)


async def find(
    session: AsyncSession, source_id: str, *, locked: bool = False
) -> StoredWebhook | None:
    """``locked``: until the transaction ends nobody else changes it."""
    statement = select(*_COLUMNS).where(_ROW.source_id == source_id)
    row = (
        await session.execute(statement.with_for_update() if locked else statement)
    ).one_or_none()
    return None if row is None else StoredWebhook(*row)


async def mappings(session: AsyncSession, source_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """By source, of those that have one."""
    statement = select(_ROW.source_id, _ROW.mapping).where(_ROW.source_id.in_(source_ids))
    return {row.source_id: row.mapping for row in await session.execute(statement)}


async def put(
    session: AsyncSession,
    workspace_id: UUID,
    source_id: str,
    signature: dict[str, Any],
    mapping: dict[str, Any],
    secrets: dict[str, dict[str, str]],
) -> StoredWebhook:
    """In place of what there was."""
    version = (await session.execute(_NEXT)).scalar_one()
    changed = {
        "version": version,
        "signature": signature,
        "mapping": mapping,
        "secrets": secrets,
        "changed_at": func.clock_timestamp(),
    }
    statement = (
        insert(_ROW)
        .values(workspace_id=workspace_id, source_id=source_id, **changed)
        .on_conflict_do_update(index_elements=[_ROW.workspace_id, _ROW.source_id], set_=changed)
        .returning(*_COLUMNS)
    )
    return StoredWebhook(*(await session.execute(statement)).one())


async def remove(session: AsyncSession, source_id: str) -> bool:
    """False where there was none."""
    statement = delete(_ROW).where(_ROW.source_id == source_id).returning(_ROW.version)
    return (await session.execute(statement)).one_or_none() is not None
