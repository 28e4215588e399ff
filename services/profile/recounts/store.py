"""SQL of profiles whose events are counted anew."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement
from services.profile.recounts.tables import RecountRow

# A survivor takes over states that are not counted yet, so it is counted anew itself.
_FOLLOW = statement("""
WITH gone AS (
  DELETE FROM recount r
  USING unnest(CAST(:losers AS uuid[]), CAST(:winners AS uuid[])) AS m(loser, winner)
  WHERE r.workspace_id = :workspace_id AND r.profile_id = m.loser
  RETURNING m.winner, r.merge_id)
INSERT INTO recount (workspace_id, profile_id, merge_id)
SELECT DISTINCT ON (winner) :workspace_id, winner, merge_id FROM gone ORDER BY winner, merge_id
ON CONFLICT (workspace_id, profile_id) DO UPDATE SET start_offset = NULL
""")


@dataclass(frozen=True, slots=True)
class Recount:
    profile_id: str
    merge_id: UUID
    start_offset: int | None


async def pending(session: AsyncSession, workspace_id: UUID) -> list[Recount]:
    """In the order in which they are done."""
    statement = (
        select(RecountRow.profile_id, RecountRow.merge_id, RecountRow.start_offset)
        .where(RecountRow.workspace_id == workspace_id)
        .order_by(RecountRow.merge_id, RecountRow.profile_id)
    )
    rows = await session.execute(statement)
    return [Recount(str(r.profile_id), r.merge_id, r.start_offset) for r in rows]


async def ask(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str], merge_id: UUID
) -> None:
    """Have these counted anew; one that is under way begins again."""
    rows: list[dict[str, Any]] = [
        {"workspace_id": workspace_id, "profile_id": UUID(each), "merge_id": merge_id}
        for each in profile_ids
    ]
    await session.execute(
        insert(RecountRow)
        .values(rows)
        .on_conflict_do_update(
            index_elements=[RecountRow.workspace_id, RecountRow.profile_id],
            set_={"merge_id": merge_id, "start_offset": None},
        )
    )


async def follow(session: AsyncSession, workspace_id: UUID, became: Mapping[str, str]) -> None:
    """Merged profiles (keys) whose recount is under way leave it to the survivors (values)."""
    await session.execute(
        _FOLLOW,
        {
            "workspace_id": workspace_id,
            "losers": plain(became),
            "winners": plain(became.values()),
        },
    )


async def begin(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str], log_offset: int
) -> None:
    await session.execute(
        update(RecountRow)
        .where(
            RecountRow.workspace_id == workspace_id,
            RecountRow.profile_id.in_([UUID(each) for each in profile_ids]),
        )
        .values(start_offset=log_offset)
    )


async def finish(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> None:
    await session.execute(
        delete(RecountRow).where(
            RecountRow.workspace_id == workspace_id,
            RecountRow.profile_id.in_([UUID(each) for each in profile_ids]),
        )
    )
