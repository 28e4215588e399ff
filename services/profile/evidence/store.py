"""Counts of people, of what was asked and said of them, and of what is defined."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SAMPLE = 10_000
"""People whose traits are looked at: a trait that none of so many has is hardly in use."""

_ACTIVE = text("""
SELECT count(*) AS active, count(user_id) AS known FROM profile
WHERE workspace_id = :workspace_id AND last_seen_at >= :since
""")

_ASKED = text("""
SELECT count(*) AS known, count(*) FILTER (WHERE EXISTS (
  SELECT FROM consent c
  WHERE c.workspace_id = p.workspace_id AND c.profile_id = p.profile_id
    AND starts_with(c.purpose, 'marketing'))) AS asked
FROM profile p WHERE p.workspace_id = :workspace_id AND p.user_id IS NOT NULL
""")

# Profile ids are hashes: the first of them are people like all others.
_TRAITS = text("""
WITH used AS (
  SELECT DISTINCT jsonb_object_keys(p.traits) AS name
  FROM (SELECT traits FROM profile WHERE workspace_id = :workspace_id
        ORDER BY profile_id LIMIT :sample) p),
newest AS (
  SELECT DISTINCT ON (name) name, definition FROM trait_definition
  WHERE workspace_id = :workspace_id ORDER BY name, since_offset DESC)
SELECT count(*) AS used, count(n.name) AS registered
FROM used u LEFT JOIN newest n ON n.name = u.name AND jsonb_typeof(n.definition) = 'object'
""")

_DEFINED = text("""
SELECT (SELECT count(*) FROM segment WHERE workspace_id = :workspace_id) AS segments,
       (SELECT count(*) FROM stage_model WHERE workspace_id = :workspace_id) AS models
""")


async def active(session: AsyncSession, workspace_id: UUID, since: datetime) -> tuple[int, int]:
    """(people seen since, those of them with a user id)."""
    parameters = {"workspace_id": workspace_id, "since": since}
    row = (await session.execute(_ACTIVE, parameters)).one()
    return row.active, row.known


async def asked(session: AsyncSession, workspace_id: UUID) -> tuple[int, int]:
    """(people with a user id, those of them who said yes or no to a purpose of marketing)."""
    row = (await session.execute(_ASKED, {"workspace_id": workspace_id})).one()
    return row.known, row.asked


async def traits(session: AsyncSession, workspace_id: UUID) -> tuple[int, int]:
    """(names of traits in use, those of them that are registered)."""
    parameters = {"workspace_id": workspace_id, "sample": SAMPLE}
    row = (await session.execute(_TRAITS, parameters)).one()
    return row.used, row.registered


async def defined(session: AsyncSession, workspace_id: UUID) -> tuple[int, int]:
    """(segments, lists included; published stage models)."""
    row = (await session.execute(_DEFINED, {"workspace_id": workspace_id})).one()
    return row.segments, row.models
