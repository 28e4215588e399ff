"""SQL of taking one person apart: identifiers, ids, and what both start from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement
from services.profile.identity.resolve import Node
from services.profile.profiles.traits import Meta

_TAKE_IDENTIFIERS = statement("""
UPDATE identifier i SET profile_id = :revived
FROM unnest(CAST(:theirs AS uuid[])) AS side(origin_id)
WHERE i.workspace_id = :workspace_id AND i.profile_id = :living AND i.origin_id = side.origin_id
RETURNING i.namespace, i.value, i.subject_id::text AS subject_id,
  CAST(extract(epoch FROM i.linked_at) * 1000 AS bigint) AS at
""")

_TAKE_ALIASES = (
    statement("""
DELETE FROM alias WHERE workspace_id = :workspace_id AND alias_id = :revived
"""),
    statement("""
UPDATE alias a SET profile_id = :revived FROM unnest(CAST(:theirs AS uuid[])) AS side(alias_id)
WHERE a.workspace_id = :workspace_id AND a.alias_id = side.alias_id
"""),
)

_PUT = text("""
UPDATE profile SET user_id = :user_id, identifier_count = :count,
  traits = CAST(:traits AS jsonb), trait_meta = CAST(:meta AS jsonb),
  first_seen_at = to_timestamp(:first / 1000.0), last_seen_at = to_timestamp(:last / 1000.0)
WHERE workspace_id = :workspace_id AND profile_id = :profile_id
""")

# Both were that one person until now: each starts from what the person was in, and is asked anew
# once its events are counted, so that nobody enters what the person was in already.
_COPIES = (
    text("""
INSERT INTO membership (workspace_id, profile_id, rule_id, entered_at)
SELECT workspace_id, :revived, rule_id, entered_at FROM membership
WHERE workspace_id = :workspace_id AND profile_id = :living
"""),
    text("""
INSERT INTO stage (workspace_id, profile_id, model_id, stage_id, since)
SELECT workspace_id, :revived, model_id, stage_id, since FROM stage
WHERE workspace_id = :workspace_id AND profile_id = :living
"""),
    text("""
INSERT INTO leaf_state (workspace_id, profile_id, leaf_id, total, first, last, recent,
                        bucket_index, bucket_count, next_change_at)
SELECT workspace_id, :revived, leaf_id, total, first, last, recent, bucket_index, bucket_count,
       next_change_at
FROM leaf_state WHERE workspace_id = :workspace_id AND profile_id = :living
"""),
)


@dataclass(frozen=True, slots=True)
class Taken:
    """An identifier that changed sides; ``at`` in ms."""

    namespace: str
    value: str
    subject_id: str
    at: int


async def take(
    session: AsyncSession, workspace_id: UUID, living: str, revived: str, theirs: Collection[str]
) -> list[Taken]:
    """Give identifiers and ids of one side to ``revived``, which is an alias no more."""
    parameters: dict[str, Any] = {"workspace_id": workspace_id, "revived": UUID(revived)}
    side = {"theirs": plain(theirs)}
    moved = await session.execute(_TAKE_IDENTIFIERS, parameters | side | {"living": UUID(living)})
    await session.execute(_TAKE_ALIASES[0], parameters)
    await session.execute(_TAKE_ALIASES[1], parameters | side)
    return sorted((Taken(*row) for row in moved), key=lambda t: (t.at, t.namespace, t.value))


async def put(
    session: AsyncSession,
    workspace_id: UUID,
    profile: Node,
    traits: tuple[Mapping[str, Any], Mapping[str, Meta]],
    seen: tuple[int, int],
) -> None:
    """``traits``: values and what they rest on; ``seen`` in ms."""
    await session.execute(
        _PUT,
        {
            "workspace_id": workspace_id,
            "profile_id": UUID(profile.profile_id),
            "user_id": profile.user_id,
            "count": profile.identifier_count,
            "traits": msgspec.json.encode(traits[0]).decode(),
            "meta": msgspec.json.encode(traits[1]).decode(),
            "first": seen[0],
            "last": seen[1],
        },
    )


async def copy_standing(
    session: AsyncSession, workspace_id: UUID, living: str, revived: str
) -> None:
    """Memberships, stages and leaf states of ``living`` are those of ``revived`` too."""
    parameters = {
        "workspace_id": workspace_id,
        "living": UUID(living),
        "revived": UUID(revived),
    }
    for each in _COPIES:
        await session.execute(each, parameters)
