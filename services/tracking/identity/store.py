"""SQL of the identity map: merges are resolved in PostgreSQL, and pushed from there."""

from collections.abc import Sequence
from uuid import UUID

import pyarrow as pa
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Uuid

from services.kit.clickhouse import ClickHouse
from services.tracking.identity.fold import Moves
from services.tracking.log.store import position
from services.tracking.tables import IdentityRow

FOLLOWER = "identity"
PUSHER = "identity_map"

_ARRAYS = (
    bindparam("from_ids", type_=ARRAY(Uuid)),
    bindparam("to_ids", type_=ARRAY(Uuid)),
)
_MOVE_PROFILES = text("""
UPDATE identity AS i SET profile_id = m.survivor, version = :version
FROM unnest(:from_ids, :to_ids) AS m(merged, survivor)
WHERE i.workspace_id = :workspace_id AND i.profile_id = m.merged
""").bindparams(*_ARRAYS)
# A subject of its own profile needs a row only when it had one before (after an unmerge).
_MOVE_SUBJECTS = text("""
INSERT INTO identity AS i (workspace_id, subject_id, profile_id, version)
SELECT :workspace_id, m.subject, m.profile, :version
FROM unnest(:from_ids, :to_ids) AS m(subject, profile)
WHERE m.subject <> m.profile OR EXISTS (
  SELECT FROM identity AS k WHERE k.workspace_id = :workspace_id AND k.subject_id = m.subject)
ON CONFLICT (workspace_id, subject_id) DO UPDATE
SET profile_id = excluded.profile_id, version = excluded.version
WHERE i.profile_id <> excluded.profile_id
""").bindparams(*_ARRAYS)

_UUID = pa.binary(16)


async def apply(session: AsyncSession, workspace_id: UUID, moves: Moves, version: int) -> None:
    """Changed rows get ``version``."""
    both = ((_MOVE_PROFILES, moves.profiles), (_MOVE_SUBJECTS, moves.subjects))
    for statement, pairs in both:
        if pairs:
            values = {
                "workspace_id": workspace_id,
                "version": version,
                "from_ids": [UUID(each) for each in pairs],
                "to_ids": [UUID(each) for each in pairs.values()],
            }
            await session.execute(statement, values)


async def changed(
    session: AsyncSession, workspace_id: UUID, after: int, until: int, limit: int
) -> list[IdentityRow]:
    """Rows of the lowest versions in (``after``, ``until``]; whole versions, so at least one."""
    page = (
        select(IdentityRow.version)
        .where(
            IdentityRow.workspace_id == workspace_id,
            IdentityRow.version > after,
            IdentityRow.version <= until,
        )
        .order_by(IdentityRow.version)
        .limit(limit)
    )
    versions = list(await session.scalars(page))
    if not versions:
        return []
    statement = select(IdentityRow).where(
        IdentityRow.workspace_id == workspace_id,
        IdentityRow.version > after,
        IdentityRow.version <= versions[-1],
    )
    return list(await session.scalars(statement))


async def known_offset(session: AsyncSession, workspace_id: UUID) -> int:
    """The row of profile's change feed up to which ClickHouse knows who is who."""
    # Read first: what is applied after it can only be waiting to be pushed.
    read = await position(session, FOLLOWER, str(workspace_id))
    pushed = await position(session, PUSHER, str(workspace_id))
    waiting = await session.scalar(
        select(func.min(IdentityRow.version)).where(
            IdentityRow.workspace_id == workspace_id, IdentityRow.version > pushed
        )
    )
    return read if waiting is None else waiting - 1


async def push(clickhouse: ClickHouse, rows: Sequence[IdentityRow]) -> None:
    """Into ClickHouse; the same rows again change nothing, as the highest version counts."""
    table = pa.table(
        {
            "workspace_id": pa.array([row.workspace_id.bytes for row in rows], _UUID),
            "subject_id": pa.array([row.subject_id.bytes for row in rows], _UUID),
            "profile_id": pa.array([row.profile_id.bytes for row in rows], _UUID),
            "version": pa.array([row.version for row in rows], pa.uint64()),
        }
    )
    await clickhouse.insert_arrow("identity_map", table, {"async_insert": 0})
