"""SQL for the readiness policy of a workspace."""

from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.tables import ReadinessPolicyRow
from services.contracts.assessment import ReadinessMode

DEFAULT_MODE: ReadinessMode = "warn"


async def mode_of(session: AsyncSession, workspace_id: UUID) -> ReadinessMode:
    mode = await session.scalar(
        select(ReadinessPolicyRow.mode).where(ReadinessPolicyRow.workspace_id == workspace_id)
    )
    return cast(ReadinessMode, mode or DEFAULT_MODE)


async def set_mode(
    session: AsyncSession,
    workspace_id: UUID,
    mode: ReadinessMode,
    reason: str | None,
    by: str,
    now: datetime,
) -> None:
    values = {"mode": mode, "reason": reason, "updated_by": by, "updated_at": now}
    await session.execute(
        insert(ReadinessPolicyRow)
        .values(workspace_id=workspace_id, **values)
        .on_conflict_do_update(index_elements=["workspace_id"], set_=values)
    )
