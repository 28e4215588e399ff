"""SQL of subscription groups and who is in them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.consents.policy import group_purpose
from services.profile.subscriptions.model import SubscriptionGroup
from services.profile.subscriptions.tables import SubscriptionGroupRow

# ``consents.decide`` on each of the group's channels.
_MEMBERS = text("""
SELECT DISTINCT c.profile_id
FROM consent c CROSS JOIN unnest(CAST(:channels AS text[])) AS ch(channel)
WHERE c.workspace_id = :workspace_id AND c.purpose = :purpose AND c.state = 'granted'
  AND c.profile_id > :after AND c.channel IN ('*', ch.channel)
  AND NOT EXISTS (
    SELECT FROM consent w
    WHERE w.workspace_id = c.workspace_id AND w.profile_id = c.profile_id
      AND w.purpose = c.purpose AND w.state = 'withdrawn'
      AND w.channel IN ('*', ch.channel) AND w.contact_point IN ('*', c.contact_point)
      AND NOT EXISTS (
        SELECT FROM consent g
        WHERE g.workspace_id = c.workspace_id AND g.profile_id = c.profile_id
          AND g.purpose = c.purpose AND g.state = 'granted' AND g.at > w.at
          AND g.channel IN ('*', ch.channel) AND g.contact_point IN ('*', c.contact_point)
          AND w.channel IN ('*', g.channel) AND w.contact_point IN ('*', g.contact_point)))
ORDER BY c.profile_id LIMIT :limit
""")


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    group_id: UUID,
    values: Mapping[str, Any],
    now: datetime,
) -> None:
    """Nothing where an earlier call with the same id made it."""
    await session.execute(
        insert(SubscriptionGroupRow)
        .values(
            workspace_id=workspace_id, group_id=group_id, created_at=now, updated_at=now, **values
        )
        .on_conflict_do_nothing()
    )


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    group_id: UUID,
    values: Mapping[str, Any],
    now: datetime,
) -> None:
    await session.execute(
        update(SubscriptionGroupRow)
        .where(
            SubscriptionGroupRow.workspace_id == workspace_id,
            SubscriptionGroupRow.group_id == group_id,
        )
        .values(updated_at=now, **values)
    )


def _select(workspace_id: UUID) -> Select[Any]:
    return (
        select(SubscriptionGroupRow)
        .where(SubscriptionGroupRow.workspace_id == workspace_id)
        .order_by(SubscriptionGroupRow.group_id)
    )


async def find(
    session: AsyncSession, workspace_id: UUID, group_id: UUID
) -> SubscriptionGroup | None:
    statement = _select(workspace_id).where(SubscriptionGroupRow.group_id == group_id)
    row = (await session.scalars(statement)).one_or_none()
    return None if row is None else _group(row)


async def page(
    session: AsyncSession, workspace_id: UUID, after: UUID, limit: int | None
) -> list[SubscriptionGroup]:
    """In order of creation; ``limit`` None: all of them."""
    statement = _select(workspace_id).where(SubscriptionGroupRow.group_id > after).limit(limit)
    return [_group(row) for row in await session.scalars(statement)]


async def members(
    session: AsyncSession, workspace_id: UUID, group: SubscriptionGroup, after: UUID, limit: int
) -> list[UUID]:
    """Profiles that joined and are still in, after a profile id, in order of it."""
    parameters = {
        "workspace_id": workspace_id,
        "purpose": group.consent_purpose,
        "channels": group.channels,
        "after": after,
        "limit": limit,
    }
    return list((await session.execute(_MEMBERS, parameters)).scalars())


def _group(row: SubscriptionGroupRow) -> SubscriptionGroup:
    return SubscriptionGroup.model_validate(
        {
            "id": row.group_id,
            "consent_purpose": group_purpose(row.group_id),
            "names": row.names,
            "channels": row.channels,
            "purpose": row.purpose,
            "default": row.default_state,
            "double_opt_in": row.double_opt_in,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
    )
