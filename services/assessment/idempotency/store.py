"""SQL for idempotency keys."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.assessment.errors import IdempotencyKeyReused
from services.assessment.tables import IdempotencyRow


async def claim(
    session: AsyncSession,
    workspace_id: UUID,
    key: str | None,
    digest: bytes,
    resource_id: UUID,
    now: datetime,
) -> UUID | None:
    """None when the caller may create ``resource_id``, else the id of what the key already made.

    A request with the same key that is under way is waited for. Raises IdempotencyKeyReused where
    the key belongs to a different request.
    """
    if key is None:
        return None
    row = IdempotencyRow
    claimed = await session.scalar(
        insert(row)
        .values(
            workspace_id=workspace_id,
            key=key,
            digest=digest,
            resource_id=resource_id,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(row.resource_id)
    )
    if claimed is not None:
        return None
    known = (
        await session.execute(
            select(row.digest, row.resource_id).where(
                row.workspace_id == workspace_id, row.key == key
            )
        )
    ).one()
    if known.digest != digest:
        raise IdempotencyKeyReused("Send a new Idempotency-Key with a new request.")
    resource_made: UUID = known.resource_id
    return resource_made
