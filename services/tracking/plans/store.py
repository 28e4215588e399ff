"""SQL of tracking plans."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.tables import TrackingPlanRow, TrackingPlanVersionRow


@dataclass(frozen=True, slots=True)
class StoredPlan:
    id: UUID
    name: str
    description: str
    latest_version: int
    created_at: datetime


_PLAN = (
    TrackingPlanRow.id,
    TrackingPlanRow.name,
    TrackingPlanRow.description,
    TrackingPlanRow.latest_version,
    TrackingPlanRow.created_at,
)


async def document(session: AsyncSession, plan_id: UUID, version: int) -> dict[str, Any] | None:
    found = await session.execute(
        select(TrackingPlanVersionRow.document).where(
            TrackingPlanVersionRow.plan_id == plan_id, TrackingPlanVersionRow.version == version
        )
    )
    row = found.one_or_none()
    return None if row is None else row[0]


async def add_plan(
    session: AsyncSession, workspace_id: UUID, plan_id: UUID, name: str, description: str
) -> bool:
    """False where the name is another plan's. The same id again changes nothing."""
    statement = (
        insert(TrackingPlanRow)
        .values(
            id=plan_id,
            workspace_id=workspace_id,
            name=name,
            description=description,
            latest_version=0,
            created_at=datetime.now(UTC),
        )
        .on_conflict_do_nothing()
        .returning(TrackingPlanRow.id)
    )
    if (await session.execute(statement)).one_or_none() is not None:
        return True
    held = select(TrackingPlanRow.id).where(TrackingPlanRow.id == plan_id)
    return (await session.execute(held)).one_or_none() is not None


async def next_version(session: AsyncSession, plan_id: UUID) -> int | None:
    """Takes the next number; None for a plan that does not exist."""
    statement = (
        update(TrackingPlanRow)
        .where(TrackingPlanRow.id == plan_id)
        .values(latest_version=TrackingPlanRow.latest_version + 1)
        .returning(TrackingPlanRow.latest_version)
    )
    found: int | None = (await session.execute(statement)).scalar_one_or_none()
    return found


async def add_version(
    session: AsyncSession,
    workspace_id: UUID,
    plan_id: UUID,
    version: int,
    document: dict[str, Any],
) -> None:
    await session.execute(
        insert(TrackingPlanVersionRow).values(
            plan_id=plan_id,
            version=version,
            workspace_id=workspace_id,
            document=document,
            created_at=datetime.now(UTC),
        )
    )


async def find(session: AsyncSession, plan_id: UUID) -> StoredPlan | None:
    row = (await session.execute(select(*_PLAN).where(TrackingPlanRow.id == plan_id))).one_or_none()
    return None if row is None else StoredPlan(*row)


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[StoredPlan]:
    """In the order they were made."""
    statement = select(*_PLAN).order_by(TrackingPlanRow.id).limit(limit)
    if after is not None:
        statement = statement.where(TrackingPlanRow.id > after)
    return [StoredPlan(*row) for row in await session.execute(statement)]


async def versions(session: AsyncSession, plan_id: UUID) -> list[tuple[int, datetime]]:
    """Newest first."""
    statement = (
        select(TrackingPlanVersionRow.version, TrackingPlanVersionRow.created_at)
        .where(TrackingPlanVersionRow.plan_id == plan_id)
        .order_by(TrackingPlanVersionRow.version.desc())
    )
    return [(version, at) for version, at in await session.execute(statement)]
