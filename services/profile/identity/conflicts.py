"""SQL of conflicts as people read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import ConflictReason

MergeClass = Literal["recommended", "careful", "conflict"]

_PAGE = text("""
SELECT * FROM (
  SELECT c.conflict_id AS id, coalesce(a.profile_id, c.profile_id) AS profile_id,
         i.profile_id AS other_id, c.namespace, c.value, c.reason,
         CASE WHEN other.user_id IS NULL THEN 'recommended'
              WHEN c.namespace IN ('anonymous_id', 'device_id') THEN 'conflict'
              ELSE 'careful' END AS merge_class,
         coalesce(i.profile_id = coalesce(a.profile_id, c.profile_id), false) AS resolved,
         c.message_id, c.occurred_at, c.last_at, c.count
  FROM conflict c
  LEFT JOIN alias a ON a.workspace_id = c.workspace_id AND a.alias_id = c.profile_id
  LEFT JOIN identifier i ON i.workspace_id = c.workspace_id
    AND i.namespace = c.namespace AND i.value = c.value
  LEFT JOIN profile other ON other.workspace_id = c.workspace_id
    AND other.profile_id = i.profile_id
  WHERE c.workspace_id = :workspace_id AND c.conflict_id < :before
    AND (CAST(:profile_id AS uuid) IS NULL OR c.profile_id = :profile_id OR c.profile_id IN (
      SELECT alias_id FROM alias
      WHERE workspace_id = :workspace_id AND profile_id = :profile_id))
    AND (CAST(:reason AS text) IS NULL OR c.reason = :reason)
) found
WHERE (CAST(:merge_class AS text) IS NULL OR merge_class = :merge_class)
ORDER BY id DESC LIMIT :limit
""")


class Conflict(BaseModel):
    """An identifier that events carried and that was not linked to their person."""

    id: UUID
    profile_id: UUID = Field(description="Whose the events are.")
    other_id: UUID | None = Field(
        description="Who has the identifier now; null while nobody has it."
    )
    namespace: str = Field(examples=["email"])
    value: str = Field(examples=["ada@example.com"])
    reason: ConflictReason = Field(
        description="`two_user_ids`: it would have made one person of two known ones. `limit`: more "
        "of this namespace than the identity policy allows. `too_many_identifiers`, "
        "`too_many_merges`: more than any profile may have."
    )
    merge_class: MergeClass = Field(
        description="What merging the two would mean. `recommended`: the identifier is nobody's or "
        "an anonymous profile's. `careful`: two known people share something personal, so they may "
        "be one person with two accounts. `conflict`: two known people share a device, so they are "
        "probably two."
    )
    resolved: bool = Field(description="Whether the profile has the identifier by now.")
    message_id: str = Field(description="Of the first event that carried it.")
    occurred_at: datetime = Field(description="Time of that event.")
    last_at: datetime = Field(description="The latest time of such an event.")
    count: int = Field(description="How many events carried it.", ge=1)


async def page(
    session: AsyncSession,
    workspace_id: UUID,
    before: UUID,
    limit: int,
    wanted: Mapping[str, Any],
) -> list[Conflict]:
    """The latest first. ``wanted``: ``profile_id`` (living), ``reason``, ``merge_class``; None for
    any."""
    values = {"workspace_id": workspace_id, "before": before, "limit": limit, **wanted}
    found = await session.execute(_PAGE, values)
    return [Conflict.model_validate(dict(row)) for row in found.mappings()]
