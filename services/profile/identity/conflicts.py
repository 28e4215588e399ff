"""SQL of conflicts: as blocks leave them and as people read them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import ConflictReason
from services.kit.ids import uuid7
from services.profile.arrays import plain, quoted, statement
from services.profile.identity import resolve
from services.profile.identity.nodes import Identifier

MergeClass = Literal["recommended", "careful", "conflict"]

_RECORD = statement("""
INSERT INTO conflict (workspace_id, conflict_id, profile_id, other_id, namespace, value, reason,
                      message_id, occurred_at, last_at, count)
SELECT :workspace_id, conflict_id, profile_id, other_id, namespace, value, reason, message_id,
       to_timestamp(at / 1000.0), to_timestamp(last / 1000.0), count
FROM unnest(CAST(:ids AS uuid[]), CAST(:profiles AS uuid[]), CAST(:others AS uuid[]),
            CAST(:namespaces AS text[]), CAST(:values AS text[]), CAST(:reasons AS text[]),
            CAST(:message_ids AS text[]), CAST(:times AS bigint[]), CAST(:lasts AS bigint[]),
            CAST(:counts AS bigint[]))
  AS new(conflict_id, profile_id, other_id, namespace, value, reason, message_id, at, last, count)
ON CONFLICT (workspace_id, profile_id, namespace, value, reason) DO UPDATE SET
  count = conflict.count + excluded.count,
  last_at = greatest(conflict.last_at, excluded.last_at)
""")

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
        description="`two_user_ids`: it would have made one person of two known ones. `limit`: "
        "more of this namespace than the identity policy allows. `too_many_identifiers`, "
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


async def record(
    session: AsyncSession,
    workspace_id: UUID,
    conflicts: Sequence[resolve.Conflict],
    events: Sequence[tuple[str, int]],
) -> None:
    """``events``: (message_id, occurred_at in ms) of each conflict's event.

    One line for each identifier and profile, however often events say it again: at a shared device
    every one of them does.
    """
    lines: dict[tuple[str, Identifier, str], list[int]] = {}
    for number, conflict in enumerate(conflicts):
        key = (conflict.profile_id, conflict.identifier, conflict.reason)
        lines.setdefault(key, []).append(number)
    first = [conflicts[numbers[0]] for numbers in lines.values()]
    await session.execute(
        _RECORD,
        {
            "workspace_id": workspace_id,
            "ids": plain(uuid7() for _ in first),
            "profiles": plain(c.profile_id for c in first),
            "others": plain(c.other_id for c in first),
            "namespaces": quoted(c.identifier[0] for c in first),
            "values": quoted(c.identifier[1] for c in first),
            "reasons": quoted(c.reason for c in first),
            "message_ids": quoted(events[numbers[0]][0] for numbers in lines.values()),
            "times": plain(events[numbers[0]][1] for numbers in lines.values()),
            "lasts": plain(max(events[n][1] for n in numbers) for numbers in lines.values()),
            "counts": plain(map(len, lines.values())),
        },
    )


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
