"""SQL of the nodes of a person's graph."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.identity.tables import ConflictRow, IdentifierRow
from services.profile.merges.model import GraphConflict, GraphIdentifier

MAX_CONFLICTS = 100


async def identifiers(
    session: AsyncSession, workspace_id: UUID, living: UUID
) -> list[GraphIdentifier]:
    """All of a living profile, the first linked first."""
    statement = (
        select(
            IdentifierRow.namespace,
            IdentifierRow.value,
            IdentifierRow.origin_id.label("profile_id"),
            IdentifierRow.linked_at,
        )
        .where(IdentifierRow.workspace_id == workspace_id, IdentifierRow.profile_id == living)
        .order_by(IdentifierRow.linked_at, IdentifierRow.namespace, IdentifierRow.value)
    )
    return [GraphIdentifier(**row._mapping) for row in await session.execute(statement)]


async def conflicts(
    session: AsyncSession, workspace_id: UUID, ids: Collection[UUID]
) -> list[GraphConflict]:
    """Of a person with these ids, on either side; the latest first."""
    wanted = list(ids)
    statement = (
        select(
            ConflictRow.namespace,
            ConflictRow.value,
            ConflictRow.profile_id,
            ConflictRow.other_id,
            ConflictRow.reason,
            ConflictRow.occurred_at,
        )
        .where(
            ConflictRow.workspace_id == workspace_id,
            or_(ConflictRow.profile_id.in_(wanted), ConflictRow.other_id.in_(wanted)),
        )
        .order_by(ConflictRow.occurred_at.desc(), ConflictRow.conflict_id.desc())
        .limit(MAX_CONFLICTS)
    )
    return [GraphConflict(**row._mapping) for row in await session.execute(statement)]
