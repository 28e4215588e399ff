"""SQL of profiles as people read them."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import ConsentEntry, Profile
from services.profile.computed import values

_READ = text("""
WITH masked AS MATERIALIZED (
  SELECT coalesce(array_agg(name), ARRAY[]::text[]) AS names FROM masked_trait
  WHERE workspace_id = :workspace_id AND NOT :reveal
)
SELECT p.profile_id, p.user_id, (p.traits - masked.names)::text AS traits,
  ARRAY(SELECT name FROM unnest(masked.names) name WHERE p.traits ? name ORDER BY name)
    AS masked_traits, p.computed::text AS computed,
  p.first_seen_at, p.last_seen_at,
  (SELECT coalesce(json_agg(json_build_object('namespace', namespace, 'value', value,
                                              'linked_at', linked_at)
                            ORDER BY linked_at DESC, namespace, value), '[]'::json)
   FROM identifier i
   WHERE i.workspace_id = p.workspace_id AND i.profile_id = p.profile_id)::text AS identifiers,
  (SELECT coalesce(json_object_agg(purpose, state), '{}'::json) FROM consent c
   WHERE c.workspace_id = p.workspace_id AND c.profile_id = p.profile_id)::text AS consents,
  ARRAY(SELECT alias_id FROM alias a
        WHERE a.workspace_id = p.workspace_id AND a.profile_id = p.profile_id
        ORDER BY alias_id) AS merged_ids
FROM profile p CROSS JOIN masked
WHERE p.workspace_id = :workspace_id AND p.profile_id = ANY(CAST(:ids AS uuid[]))
ORDER BY p.profile_id
""")

_PAGE = text("""
SELECT profile_id FROM profile
WHERE workspace_id = :workspace_id AND profile_id > CAST(:after AS uuid)
ORDER BY profile_id LIMIT :limit
""")

_FIND = text("""
SELECT profile_id FROM identifier
WHERE workspace_id = :workspace_id AND namespace = :namespace AND value = :value
""")

_LEDGER = text("""
SELECT entry_id, purpose, state, at, source FROM consent_entry
WHERE workspace_id = :workspace_id
  AND (profile_id = :profile_id OR profile_id IN (
    SELECT alias_id FROM alias
    WHERE workspace_id = :workspace_id AND profile_id = :profile_id))
  AND entry_id < :before
ORDER BY entry_id DESC LIMIT :limit
""")

_COUNT = text("SELECT count(*) FROM profile WHERE workspace_id = :workspace_id")


async def read(
    session: AsyncSession,
    workspace_id: UUID,
    profile_ids: Collection[UUID],
    now_ms: int,
    *,
    reveal: bool = False,
) -> list[Profile]:
    """Living profiles by id, in order of id; others are left out. Days are counted up to now.
    ``reveal``: sensitive traits are shown too."""
    parameters = {"workspace_id": workspace_id, "ids": list(profile_ids), "reveal": reveal}
    found = await session.execute(_READ, parameters)
    decode = msgspec.json.decode
    return [
        Profile(
            id=r.profile_id,
            user_id=r.user_id,
            traits=decode(r.traits),
            computed=values.at(decode(r.computed), now_ms),
            masked_traits=r.masked_traits,
            identifiers=decode(r.identifiers),
            consents=decode(r.consents),
            first_seen_at=r.first_seen_at,
            last_seen_at=r.last_seen_at,
            merged_ids=r.merged_ids,
        )
        for r in found
    ]


async def page(session: AsyncSession, workspace_id: UUID, after: UUID, limit: int) -> list[UUID]:
    """Ids of living profiles after ``after``, in order."""
    parameters = {"workspace_id": workspace_id, "after": after, "limit": limit}
    return list((await session.execute(_PAGE, parameters)).scalars())


async def find(
    session: AsyncSession, workspace_id: UUID, namespace: str, value: str
) -> UUID | None:
    """The profile an identifier (normalised) belongs to."""
    parameters = {"workspace_id": workspace_id, "namespace": namespace, "value": value}
    return (await session.execute(_FIND, parameters)).scalar_one_or_none()


async def consent_history(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, before: UUID, limit: int
) -> list[tuple[UUID, ConsentEntry]]:
    """(entry id, entry) of a profile and of those merged into it, the latest first."""
    parameters = {
        "workspace_id": workspace_id,
        "profile_id": profile_id,
        "before": before,
        "limit": limit,
    }
    return [
        (
            r.entry_id,
            ConsentEntry(purpose=r.purpose, state=r.state, at=r.at, source_id=r.source),
        )
        for r in await session.execute(_LEDGER, parameters)
    ]


async def count(session: AsyncSession, workspace_id: UUID) -> int:
    return int((await session.execute(_COUNT, {"workspace_id": workspace_id})).scalar_one())
