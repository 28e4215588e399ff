"""SQL for the audit log: rows are added and read, never changed."""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.audit.model import AuditEntry
from gateway.tables import AuditRow
from services.kit.ids import uuid7

_COLUMNS = (
    AuditRow.id,
    AuditRow.at,
    AuditRow.actor,
    AuditRow.action,
    AuditRow.target_type,
    AuditRow.target_id,
    AuditRow.request_id,
    AuditRow.details,
)


async def record(
    session: AsyncSession,
    workspace_id: UUID,
    actor: str,
    action: str,
    target_type: str,
    target_id: UUID,
    details: dict[str, Any],
) -> None:
    """In the transaction of the deed, so that neither exists without the other."""
    await session.execute(
        insert(AuditRow).values(
            id=uuid7(),
            workspace_id=workspace_id,
            actor=actor,
            action=action,
            target_type=target_type,
            target_id=str(target_id),
            request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
            details=details,
        )
    )


async def page(session: AsyncSession, before: UUID | None, limit: int) -> list[AuditEntry]:
    """Entries, newest first, from the first before ``before``."""
    statement = select(*_COLUMNS).order_by(AuditRow.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(AuditRow.id < before)
    return [AuditEntry.model_validate(row._mapping) for row in await session.execute(statement)]
