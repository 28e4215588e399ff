"""SQL of profiles: blocks for the log, single ones for the API."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.size import text_bound

_TRAITS = statement("""
SELECT p.profile_id::text AS profile_id, p.traits::text AS traits, p.trait_meta::text AS meta
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = asked.profile_id
""")

# A merged profile's row goes; its id lives on as an alias and its content in the merge ledger.
_DELETE = statement("""
DELETE FROM profile p USING unnest(CAST(:ids AS uuid[])) AS gone(profile_id)
WHERE p.workspace_id = :workspace_id AND p.profile_id = gone.profile_id
""")

_INSERT = statement("""
INSERT INTO profile (workspace_id, profile_id, user_id, traits, trait_meta, identifier_count,
                     created_seq, first_seen_at, last_seen_at)
SELECT :workspace_id, profile_id, user_id, CAST(coalesce(traits, '{}') AS jsonb),
       CAST(coalesce(meta, '{}') AS jsonb), identifier_count, created_seq,
       to_timestamp(first_seen / 1000.0), to_timestamp(last_seen / 1000.0)
FROM unnest(CAST(:ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:traits AS text[]),
            CAST(:meta AS text[]), CAST(:counts AS integer[]), CAST(:seqs AS bigint[]),
            CAST(:first AS bigint[]), CAST(:last AS bigint[]))
  AS new(profile_id, user_id, traits, meta, identifier_count, created_seq, first_seen, last_seen)
""")

_UPDATE = statement("""
UPDATE profile p SET
  user_id = new.user_id,
  traits = coalesce(CAST(new.traits AS jsonb), p.traits),
  trait_meta = coalesce(CAST(new.meta AS jsonb), p.trait_meta),
  identifier_count = new.identifier_count,
  first_seen_at = least(p.first_seen_at, to_timestamp(new.first_seen / 1000.0)),
  last_seen_at = greatest(p.last_seen_at, to_timestamp(new.last_seen / 1000.0))
FROM unnest(CAST(:ids AS uuid[]), CAST(:user_ids AS text[]), CAST(:traits AS text[]),
            CAST(:meta AS text[]), CAST(:counts AS integer[]), CAST(:seqs AS bigint[]),
            CAST(:first AS bigint[]), CAST(:last AS bigint[]))
  AS new(profile_id, user_id, traits, meta, identifier_count, created_seq, first_seen, last_seen)
WHERE p.workspace_id = :workspace_id AND p.profile_id = new.profile_id
""")

_SEEN = statement("""
SELECT profile_id::text AS profile_id,
       CAST(extract(epoch FROM first_seen_at) * 1000 AS bigint) AS first,
       CAST(extract(epoch FROM last_seen_at) * 1000 AS bigint) AS last
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN profile p USING (profile_id)
WHERE p.workspace_id = :workspace_id
""")


@dataclass(frozen=True, slots=True)
class Write:
    """A profile after a block. ``traits`` None: unchanged. Times in ms."""

    profile_id: str
    user_id: str | None
    identifier_count: int
    created_seq: int
    first_seen: int
    last_seen: int
    traits: Traits | None


async def load_traits(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, Traits]:
    found = await session.execute(
        _TRAITS, {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    )
    decode = msgspec.json.decode
    return {
        profile_id: Traits(
            decode(traits),
            {key: Meta(*each) for key, each in decode(meta).items()},
            bound=text_bound(len(traits)),
        )
        for profile_id, traits, meta in found.all()
    }


async def load_seen(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, tuple[int, int]]:
    """When profiles were first and last seen, in ms."""
    found = await session.execute(_SEEN, {"workspace_id": workspace_id, "ids": plain(profile_ids)})
    return {profile_id: (first, last) for profile_id, first, last in found.all()}


async def remove(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> None:
    """Merged profiles: their rows go, the alias and the ledger stay."""
    await session.execute(_DELETE, {"workspace_id": workspace_id, "ids": plain(profile_ids)})


async def insert(session: AsyncSession, workspace_id: UUID, writes: Sequence[Write]) -> None:
    if writes:
        await session.execute(_INSERT, _columns(workspace_id, writes))


async def update(session: AsyncSession, workspace_id: UUID, writes: Sequence[Write]) -> None:
    if writes:
        await session.execute(_UPDATE, _columns(workspace_id, writes))


def _columns(workspace_id: UUID, writes: Sequence[Write]) -> dict[str, object]:
    encode = msgspec.json.encode
    traits = [w.traits for w in writes]
    return {
        "workspace_id": workspace_id,
        "ids": plain([w.profile_id for w in writes]),
        "user_ids": quoted([w.user_id for w in writes]),
        "traits": quoted([None if t is None else encode(t.values).decode() for t in traits]),
        "meta": quoted([None if t is None else encode(t.meta).decode() for t in traits]),
        "counts": plain([w.identifier_count for w in writes]),
        "seqs": plain([w.created_seq for w in writes]),
        "first": plain([w.first_seen for w in writes]),
        "last": plain([w.last_seen for w in writes]),
    }
