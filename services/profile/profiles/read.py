"""SQL of profiles as people read them."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import Profile
from services.profile.computed import values
from services.profile.consents.store import OVERALL
from services.profile.identity.nodes import Identifier

_READ = text(f"""
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
  {OVERALL}::text AS consents,
  ARRAY(SELECT alias_id FROM alias a
        WHERE a.workspace_id = p.workspace_id AND a.profile_id = p.profile_id
        ORDER BY alias_id) AS merged_ids
FROM profile p CROSS JOIN masked
WHERE p.workspace_id = :workspace_id AND p.profile_id = ANY(CAST(:ids AS uuid[]))
ORDER BY p.profile_id
""")  # noqa: S608 - SQL of this service

_PAGE = text("""
SELECT profile_id FROM profile
WHERE workspace_id = :workspace_id AND profile_id > CAST(:after AS uuid)
ORDER BY profile_id LIMIT :limit
""")

_FIND = text("""
SELECT i.namespace, i.value, i.profile_id
FROM unnest(CAST(:namespaces AS text[]), CAST(:values AS text[])) AS asked(namespace, value)
JOIN identifier i ON i.workspace_id = :workspace_id AND i.namespace = asked.namespace
  AND i.value = asked.value
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
    session: AsyncSession, workspace_id: UUID, wanted: Collection[Identifier]
) -> dict[Identifier, UUID]:
    """The profiles that these identifiers (normalised) belong to; unknown ones are left out."""
    parameters = {
        "workspace_id": workspace_id,
        "namespaces": [namespace for namespace, _ in wanted],
        "values": [value for _, value in wanted],
    }
    found = await session.execute(_FIND, parameters)
    return {(namespace, value): profile_id for namespace, value, profile_id in found}


async def count(session: AsyncSession, workspace_id: UUID) -> int:
    return int((await session.execute(_COUNT, {"workspace_id": workspace_id})).scalar_one())
