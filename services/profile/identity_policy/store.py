"""SQL of identity policies."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Update, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import Namespace
from services.profile.identity.limits import BUILT_IN, Era, limits_of
from services.profile.identity_policy.tables import IdentityPolicyRow

_ROW = IdentityPolicyRow
_ERAS = text("""
SELECT from_seq, namespaces FROM identity_policy p
WHERE workspace_id = :workspace_id AND version >= coalesce(
  (SELECT max(version) FROM identity_policy
   WHERE workspace_id = :workspace_id AND from_seq <= :seq), 0)
ORDER BY version
""").columns(_ROW.from_seq, _ROW.namespaces)


@dataclass(frozen=True, slots=True)
class Stored:
    version: int
    namespaces: list[Namespace]
    changed_at: datetime
    in_force: bool


async def newest(session: AsyncSession, workspace_id: UUID) -> Stored | None:
    """None where the workspace never set one."""
    statement = (
        select(_ROW.version, _ROW.namespaces, _ROW.changed_at, _ROW.in_force)
        .where(_ROW.workspace_id == workspace_id)
        .order_by(_ROW.version.desc())
        .limit(1)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    return Stored(row.version, _read(row.namespaces), row.changed_at, row.in_force)


async def newest_version(session: AsyncSession, workspace_id: UUID) -> int:
    """0 where the workspace never set one."""
    statement = select(func.max(_ROW.version)).where(_ROW.workspace_id == workspace_id)
    return (await session.execute(statement)).scalar_one() or 0


async def eras(session: AsyncSession, workspace_id: UUID, seq: int) -> Sequence[Era]:
    """The limits in force at a place in the log, and those that came later."""
    found = await session.execute(_ERAS, {"workspace_id": workspace_id, "seq": seq})
    return [*BUILT_IN, *(Era(row.from_seq, limits_of(_read(row.namespaces))) for row in found)]


async def add(session: AsyncSession, workspace_id: UUID, policy: Stored, from_seq: int) -> None:
    await session.execute(
        insert(_ROW).values(
            workspace_id=workspace_id,
            version=policy.version,
            namespaces=[n.model_dump(mode="json") for n in policy.namespaces],
            from_seq=from_seq,
            changed_at=policy.changed_at,
            in_force=policy.in_force,
        )
    )


async def put_in_force(session: AsyncSession, workspace_id: UUID, version: int) -> None:
    await session.execute(_of(workspace_id, version).values(in_force=True))


async def renumber(session: AsyncSession, workspace_id: UUID, version: int, new: int) -> None:
    await session.execute(_of(workspace_id, version).values(version=new))


def _of(workspace_id: UUID, version: int) -> Update:
    return update(_ROW).where(_ROW.workspace_id == workspace_id, _ROW.version == version)


def _read(namespaces: list[dict[str, Any]]) -> list[Namespace]:
    return [Namespace.model_validate(each) for each in namespaces]
