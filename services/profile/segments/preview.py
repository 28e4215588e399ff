"""SQL of whom a rule would hold for, before it is saved."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts import primary
from services.profile.arrays import statement
from services.profile.computed.values import SQL_VALUES
from services.profile.consents.store import OVERALL
from services.profile.profiles.tables import ProfileRow
from services.profile.rules.past import Past, columns
from services.rules import Rule
from services.rules.compile_postgres import Columns, compile_postgres

MOST_SHOWN = 20

# What a rule reads of a profile, for `compile_postgres`; only what the rule names is computed.
_COLUMNS = Columns(
    computed=SQL_VALUES,
    account=primary.DOCUMENT,
    segments="""ARRAY(
      SELECT m.rule_id::text FROM membership m
      WHERE m.workspace_id = p.workspace_id AND m.profile_id = p.profile_id)""",
    stage="""(
      SELECT s.stage_id FROM stage s
      WHERE s.workspace_id = p.workspace_id AND s.profile_id = p.profile_id
        AND s.model_id = (SELECT model_id FROM stage_model WHERE workspace_id = p.workspace_id
                          ORDER BY published_at, model_id LIMIT 1))""",
    consents=OVERALL,
    leaf_state="""(
      SELECT profile_id, leaf_id, total, recent, bucket_index, bucket_count
      FROM leaf_state WHERE workspace_id = :workspace_id AND leaf_id <> ALL(CAST(:skip AS text[]))
      UNION ALL
      SELECT profile_id, leaf_id, total, recent, bucket_index, bucket_count FROM past)""",
    held="""(SELECT profile_id, rule_id::text, entered_at FROM membership
      WHERE workspace_id = :workspace_id)""",
)

# Who asked not to be treated by who they are is in no segment (`rules.advance`).
_TARGETED = f"({OVERALL} ->> 'personalisation') IS DISTINCT FROM 'withdrawn'"

_PAST = text("""
CREATE TEMPORARY TABLE past (
  profile_id uuid, leaf_id text, total bigint, recent bigint[], bucket_index bigint[],
  bucket_count bigint[]
) ON COMMIT DROP
""")

# Tracking's ids may be of subjects or of merged profiles: both resolve to a living one.
_FILL = statement("""
INSERT INTO past
SELECT coalesce(a.profile_id, i.profile_id, new.profile_id), new.leaf_id, new.total,
       CAST(new.recent AS bigint[]), CAST(new.indexes AS bigint[]), CAST(new.counts AS bigint[])
FROM unnest(CAST(:ids AS uuid[]), CAST(:leaf_ids AS text[]), CAST(:totals AS bigint[]),
            CAST(:recent AS text[]), CAST(:indexes AS text[]), CAST(:counts AS text[]))
  AS new(profile_id, leaf_id, total, recent, indexes, counts)
LEFT JOIN alias a ON a.workspace_id = :workspace_id AND a.alias_id = new.profile_id
LEFT JOIN LATERAL (
  SELECT profile_id FROM identifier
  WHERE workspace_id = :workspace_id AND subject_id = new.profile_id LIMIT 1
) i ON true
""")


_COUNT = text("SELECT count(*) FROM matching")

_SAMPLE = text("SELECT profile_id FROM matching ORDER BY profile_id LIMIT :limit")

_OVERLAPS = text("""
SELECT s.segment_id, s.name, count(*) AS people
FROM matching
JOIN membership m ON m.workspace_id = :workspace_id AND m.profile_id = matching.profile_id
JOIN segment s ON s.workspace_id = :workspace_id AND s.segment_id = m.rule_id
GROUP BY s.segment_id, s.name
ORDER BY people DESC, s.name LIMIT :limit
""")

_REACH = text("""
SELECT i.namespace, count(DISTINCT i.profile_id) AS people
FROM matching
JOIN identifier i ON i.workspace_id = :workspace_id AND i.profile_id = matching.profile_id
GROUP BY i.namespace ORDER BY i.namespace
""")


@dataclass(frozen=True, slots=True)
class Overlap:
    """``people`` of the preview who are in this segment too."""

    segment_id: UUID
    name: str
    people: int


@dataclass(frozen=True, slots=True)
class Preview:
    """``reach``: people by namespace of which they have an identifier."""

    count: int
    total: int
    sample: list[UUID]
    overlaps: list[Overlap]
    reach: dict[str, int]


async def count_profiles(session: AsyncSession, workspace_id: UUID) -> int:
    statement = select(func.count()).where(ProfileRow.workspace_id == workspace_id)
    return (await session.execute(statement)).scalar_one()


async def preview(
    session: AsyncSession,
    workspace_id: UUID,
    rule: Rule,
    past: Sequence[Past],
    skip: set[str],
    now_ms: int,
) -> Preview:
    """Whom a rule holds for now.

    ``past``: states of the leaves ``skip``, which are not (or not fully) counted here.
    """
    await session.execute(_PAST)
    for batch in chain.from_iterable(found.batches() for found in past):
        made = await asyncio.to_thread(columns, batch)
        await session.execute(_FILL, {"workspace_id": workspace_id, **made})
    condition, parameters = compile_postgres(rule, now_ms, columns=_COLUMNS)
    # S608: the condition is written by `compile_postgres`; every value in it is bound.
    where = f"FROM profile p WHERE p.workspace_id = :workspace_id AND {condition} AND {_TARGETED}"
    matching = f"CREATE TEMPORARY TABLE matching ON COMMIT DROP AS SELECT p.profile_id {where}"
    values: dict[str, Any] = {"workspace_id": workspace_id, **parameters}
    if ":skip" in matching:
        values["skip"] = list(skip)
    if ":now_ms" in matching:
        values["now_ms"] = now_ms
    await session.execute(text(matching), values)
    some = {"workspace_id": workspace_id, "limit": MOST_SHOWN}
    overlaps = await session.execute(_OVERLAPS, some)
    reach = await session.execute(_REACH, {"workspace_id": workspace_id})
    return Preview(
        count=(await session.execute(_COUNT)).scalar_one(),
        total=await count_profiles(session, workspace_id),
        sample=list((await session.execute(_SAMPLE, {"limit": MOST_SHOWN})).scalars()),
        overlaps=[Overlap(**row._mapping) for row in overlaps],
        reach={row.namespace: row.people for row in reach},
    )
