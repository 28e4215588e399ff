"""SQL of the merge ledger, of persons as graphs, and of taking one person apart."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.identity.resolve import Node
from services.profile.identity.tables import AliasRow
from services.profile.merges.graph import Edge
from services.profile.merges.tables import UnmergeRow
from services.profile.profiles.tables import ProfileRow

_COLUMNS = """
SELECT m.merge_id, m.profile_id, m.merged_id, m.survivor_origin_id, m.merged_origin_id,
       m.message_id, m.merged_at, m.reason, m.decided_by,
       m.snapshot::text AS snapshot, m.survivor::text AS survivor,
       u.unmerge_id, u.unmerged_at, u.reason AS unmerge_reason, u.decided_by AS unmerge_decided_by,
       u.profile_id AS kept_id, u.revived_id
FROM merge m LEFT JOIN unmerge u ON u.workspace_id = m.workspace_id AND u.merge_id = m.merge_id
WHERE m.workspace_id = :workspace_id
"""

_FIND = text(f"{_COLUMNS} AND m.merge_id = :merge_id")

_PAGE = text(f"""{_COLUMNS}
  AND (m.survivor_origin_id = ANY(CAST(:ids AS uuid[]))
       OR m.merged_origin_id = ANY(CAST(:ids AS uuid[])))
  AND (m.merged_at, m.merge_id) < (to_timestamp(:before_ms / 1000.0), CAST(:before AS uuid))
ORDER BY m.merged_at DESC, m.merge_id DESC LIMIT :limit
""")

_EDGES = text("""
SELECT m.merge_id, m.survivor_origin_id, m.merged_origin_id FROM merge m
WHERE m.workspace_id = :workspace_id AND m.merged_origin_id = ANY(CAST(:ids AS uuid[]))
  AND NOT EXISTS (SELECT FROM unmerge u
                  WHERE u.workspace_id = m.workspace_id AND u.merge_id = m.merge_id)
ORDER BY m.merge_id
""")

_DEATH = text("""
SELECT snapshot::text FROM merge
WHERE workspace_id = :workspace_id AND merged_id = :profile_id
ORDER BY merged_at DESC, merge_id DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class StoredMerge:
    merge_id: UUID
    profile_id: UUID
    merged_id: UUID
    survivor_origin_id: UUID
    merged_origin_id: UUID
    message_id: str
    merged_at: datetime
    reason: str | None
    decided_by: str | None
    snapshot: dict[str, Any]
    survivor: dict[str, Any]
    unmerge_id: UUID | None
    unmerged_at: datetime | None
    unmerge_reason: str | None
    unmerge_decided_by: str | None
    kept_id: UUID | None
    revived_id: UUID | None

    @property
    def edge(self) -> Edge:
        return Edge(str(self.merge_id), str(self.survivor_origin_id), str(self.merged_origin_id))


def _stored(row: Any) -> StoredMerge:
    values = dict(row._mapping)
    for name in ("snapshot", "survivor"):
        values[name] = msgspec.json.decode(values[name])
    return StoredMerge(**values)


async def find(session: AsyncSession, workspace_id: UUID, merge_id: UUID) -> StoredMerge | None:
    parameters = {"workspace_id": workspace_id, "merge_id": merge_id}
    row = (await session.execute(_FIND, parameters)).one_or_none()
    return None if row is None else _stored(row)


async def page(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Collection[UUID],
    before: tuple[int, UUID],
    limit: int,
) -> list[StoredMerge]:
    """Merges, undone ones too, that touched any of these ids; the latest first.

    ``before``: time in ms and id of the last one seen.
    """
    parameters = {
        "workspace_id": workspace_id,
        "ids": list(ids),
        "before_ms": before[0],
        "before": before[1],
        "limit": limit,
    }
    return [_stored(row) for row in await session.execute(_PAGE, parameters)]


async def ids_of(session: AsyncSession, workspace_id: UUID, living: UUID) -> list[UUID]:
    """All ids of a person: the living one, then those merged away."""
    found = await session.scalars(
        select(AliasRow.alias_id)
        .where(AliasRow.workspace_id == workspace_id, AliasRow.profile_id == living)
        .order_by(AliasRow.alias_id)
    )
    return [living, *found]


async def edges(session: AsyncSession, workspace_id: UUID, ids: Collection[UUID]) -> list[Edge]:
    """The merges that hold these ids together."""
    parameters = {"workspace_id": workspace_id, "ids": list(ids)}
    return [Edge(*map(str, row)) for row in await session.execute(_EDGES, parameters)]


async def node(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> Node:
    """A living profile."""
    row = (
        await session.execute(
            select(ProfileRow.user_id, ProfileRow.created_seq, ProfileRow.identifier_count).where(
                ProfileRow.workspace_id == workspace_id, ProfileRow.profile_id == profile_id
            )
        )
    ).one()
    return Node(str(profile_id), row.user_id, row.created_seq, row.identifier_count)


async def alias_count(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> int:
    return (
        await session.execute(
            select(func.count()).where(
                AliasRow.workspace_id == workspace_id, AliasRow.profile_id == profile_id
            )
        )
    ).scalar_one()


async def death(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> dict[str, Any]:
    """What the ledger kept of a profile when it was last merged away."""
    parameters = {"workspace_id": workspace_id, "profile_id": profile_id}
    found = (await session.execute(_DEATH, parameters)).scalar_one()
    snapshot: dict[str, Any] = msgspec.json.decode(found)
    return snapshot


async def record_unmerge(session: AsyncSession, workspace_id: UUID, **values: Any) -> None:
    """``values``: the columns of ``UnmergeRow``."""
    await session.execute(insert(UnmergeRow).values(workspace_id=workspace_id, **values))


async def last_unmerge(session: AsyncSession, workspace_id: UUID) -> int:
    """The row of the change feed that told of the last unmerge, 0 if there was none."""
    statement = select(func.coalesce(func.max(UnmergeRow.feed_offset), 0)).where(
        UnmergeRow.workspace_id == workspace_id
    )
    return int((await session.execute(statement)).scalar_one())
