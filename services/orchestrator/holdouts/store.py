"""SQL of holdouts, their history, and the goals of those in and out of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.holdouts.tables import HoldoutMembershipRow, HoldoutRow
from services.orchestrator.times import from_ms
from services.rules.bucket import bucket


@dataclass(frozen=True, slots=True)
class InForce:
    """How a holdout keeps people out."""

    salt: str
    buckets: int

    def holds(self, profile_id: UUID) -> bool:
        return bucket(self.salt, str(profile_id)) < self.buckets


async def lock(session: AsyncSession, workspace_id: UUID, scope_id: UUID, salt: str) -> int:
    """How many buckets it holds, made with none where there is no such holdout; nobody else
    changes it until the transaction ends."""
    made = insert(HoldoutRow).values(
        workspace_id=workspace_id, scope_id=scope_id, salt=salt, buckets=0
    )
    statement = made.on_conflict_do_update(
        index_elements=["workspace_id", "scope_id"], set_={"buckets": HoldoutRow.buckets}
    ).returning(HoldoutRow.buckets)
    return int((await session.execute(statement)).scalar_one())


async def resize(
    session: AsyncSession, workspace_id: UUID, scope_id: UUID, before: int, after: int, now: int
) -> None:
    """Who goes on being held out stays so without a break."""
    values = {"ws": workspace_id, "scope": scope_id, "after": after, "now": from_ms(now)}
    own = "workspace_id = :ws AND scope_id = :scope"
    await session.execute(text(f"UPDATE holdout SET buckets = :after WHERE {own}"), values)  # noqa: S608
    if after > before:
        await session.execute(
            text(
                "INSERT INTO holdout_membership (workspace_id, scope_id, from_bucket, to_bucket, "
                "valid_from) VALUES (:ws, :scope, :before, :after, :now) ON CONFLICT (workspace_id,"
                " scope_id, from_bucket, valid_from) DO UPDATE SET to_bucket = excluded.to_bucket, "
                "valid_to = NULL"
            ),
            {**values, "before": before},
        )
        return
    # The part that leaves goes into a row of its own, which began when the whole range did.
    await session.execute(
        text(
            "INSERT INTO holdout_membership (workspace_id, scope_id, from_bucket, to_bucket, "  # noqa: S608
            "valid_from, valid_to) SELECT workspace_id, scope_id, :after, to_bucket, valid_from, "
            f":now FROM holdout_membership WHERE {own} AND valid_to IS NULL "
            "AND from_bucket < :after AND to_bucket > :after"
        ),
        values,
    )
    await session.execute(
        text(
            f"UPDATE holdout_membership SET to_bucket = :after WHERE {own} "  # noqa: S608
            "AND valid_to IS NULL AND from_bucket < :after AND to_bucket > :after"
        ),
        values,
    )
    await session.execute(
        text(
            f"UPDATE holdout_membership SET valid_to = :now WHERE {own} "  # noqa: S608
            "AND valid_to IS NULL AND from_bucket >= :after"
        ),
        values,
    )


async def find(session: AsyncSession, scope_id: UUID) -> InForce | None:
    """Also one that holds nobody now."""
    rows = await session.execute(
        select(HoldoutRow.salt, HoldoutRow.buckets).where(HoldoutRow.scope_id == scope_id)
    )
    row = rows.one_or_none()
    return None if row is None else InForce(row.salt, row.buckets)


async def membership(session: AsyncSession, scope_id: UUID) -> Sequence[Any]:
    """Rows with the fields of ``model.Membership``, the latest first."""
    table = HoldoutMembershipRow
    rows = await session.execute(
        select(table.from_bucket, table.to_bucket, table.valid_from, table.valid_to)
        .where(table.scope_id == scope_id)
        .order_by(table.valid_from.desc(), table.from_bucket)
    )
    return rows.all()


async def in_force(session: AsyncSession, scope_ids: Collection[UUID]) -> dict[UUID, InForce]:
    """By scope; those that hold nobody are left out."""
    rows = await session.execute(
        select(HoldoutRow.scope_id, HoldoutRow.salt, HoldoutRow.buckets).where(
            HoldoutRow.scope_id.in_(scope_ids), HoldoutRow.buckets > 0
        )
    )
    return {row.scope_id: InForce(row.salt, row.buckets) for row in rows}
