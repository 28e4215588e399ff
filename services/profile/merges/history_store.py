"""SQL of the history of traits where one person is taken apart."""

from collections.abc import Collection
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.profile.merges.trait_sides import Sayings
from services.profile.traits.ledger import Line

_LINES = statement("""
SELECT h.profile_id::text AS profile_id, h.subject_id::text AS subject_id, h.key,
  h.value::text AS value, CAST(extract(epoch FROM h.said_at) * 1000 AS bigint) AS at, h.source,
  h.priority, h.seq, h.lost_to
FROM unnest(CAST(:ids AS uuid[])) AS person(profile_id)
JOIN trait_history h ON h.workspace_id = :workspace_id AND h.profile_id = person.profile_id
""")

# Along all merges there ever were, undone or not.
_OTHERS = statement("""
WITH RECURSIVE person(id) AS (SELECT unnest(CAST(:ids AS uuid[]))),
once(id) AS (
  SELECT id FROM person
  UNION
  SELECT CASE WHEN m.merged_origin_id = o.id THEN m.survivor_origin_id ELSE m.merged_origin_id END
  FROM once o JOIN merge m ON m.workspace_id = :workspace_id
    AND (m.merged_origin_id = o.id OR m.survivor_origin_id = o.id)
)
SELECT h.key, h.seq FROM once o
JOIN trait_history h ON h.workspace_id = :workspace_id AND h.profile_id = o.id
WHERE o.id NOT IN (SELECT id FROM person)
""")

_MOVE = statement("""
UPDATE trait_history h SET profile_id = to_side.profile_id
FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[]), CAST(:seqs AS bigint[]),
            CAST(:sides AS uuid[])) AS to_side(old_id, key, seq, profile_id)
WHERE h.workspace_id = :workspace_id AND h.profile_id = to_side.old_id AND h.key = to_side.key
  AND h.seq = to_side.seq
""")


async def divided(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Collection[UUID],
    theirs: Collection[str],
) -> Sayings:
    """What a person of these ids said, by side; ``theirs``: subjects of who lives again."""
    of_person = {"workspace_id": workspace_id, "ids": plain(ids)}
    sayings = Sayings()
    for row in await session.execute(_LINES, of_person):
        value = None if row.value is None else msgspec.json.decode(row.value)
        line = Line(
            row.profile_id,
            row.subject_id,
            row.key,
            value,
            row.at,
            row.source,
            row.priority,
            row.seq,
            row.lost_to,
        )
        (sayings.theirs if line.subject_id in theirs else sayings.ours).append(line)
    sayings.others.update((row.key, row.seq) for row in await session.execute(_OTHERS, of_person))
    return sayings


async def move(
    session: AsyncSession,
    workspace_id: UUID,
    said: Sayings,
    living: str,
    revived: str,
    theirs: Collection[str],
) -> None:
    """Lines go where their subjects go; ``theirs``: the ids of who lives again."""
    moving = [(line, revived) for line in said.theirs if line.profile_id not in theirs]
    moving += [(line, living) for line in said.ours if line.profile_id in theirs]
    if not moving:
        return
    await session.execute(
        _MOVE,
        {
            "workspace_id": workspace_id,
            "ids": plain(line.profile_id for line, _ in moving),
            "keys": quoted(line.key for line, _ in moving),
            "seqs": plain(line.seq for line, _ in moving),
            "sides": plain(side for _, side in moving),
        },
    )
