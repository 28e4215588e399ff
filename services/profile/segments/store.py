"""SQL of segments and who is in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.consents.store import OVERALL
from services.profile.errors import SegmentNameTaken
from services.profile.profiles.tables import ProfileRow
from services.profile.rules.backfill import Row
from services.profile.rules.tables import MembershipRow, RuleRow
from services.profile.segments.tables import SegmentRow
from services.rules import Rule
from services.rules.compile_postgres import Columns, compile_postgres

# What a rule reads of a profile, for `compile_postgres`; only what the rule names is computed.
_COLUMNS = Columns(
    account="CAST('{}' AS jsonb)",
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
_FILL = text("""
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


@dataclass(frozen=True, slots=True)
class StoredSegment:
    segment_id: UUID
    name: str
    description: str
    definition: dict[str, Any]
    state: str
    created_at: datetime
    updated_at: datetime
    members: int


@dataclass(frozen=True, slots=True)
class Membership:
    profile_id: UUID
    entered_at: datetime


def _select(workspace_id: UUID) -> Select[Any]:
    members = (
        select(func.count())
        .where(
            MembershipRow.workspace_id == workspace_id,
            MembershipRow.rule_id == SegmentRow.segment_id,
        )
        .scalar_subquery()
    )
    return (
        select(
            SegmentRow.segment_id,
            SegmentRow.name,
            SegmentRow.description,
            RuleRow.definition,
            RuleRow.state,
            SegmentRow.created_at,
            SegmentRow.updated_at,
            members.label("members"),
        )
        .join(
            RuleRow,
            (RuleRow.workspace_id == SegmentRow.workspace_id)
            & (RuleRow.rule_id == SegmentRow.segment_id),
        )
        .where(SegmentRow.workspace_id == workspace_id)
    )


async def find(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> StoredSegment | None:
    statement = _select(workspace_id).where(SegmentRow.segment_id == segment_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else StoredSegment(**row._mapping)


async def page(
    session: AsyncSession, workspace_id: UUID, after: UUID, limit: int
) -> list[StoredSegment]:
    """Segments after an id; ids are ordered by time of creation."""
    statement = (
        _select(workspace_id)
        .where(SegmentRow.segment_id > after)
        .order_by(SegmentRow.segment_id)
        .limit(limit)
    )
    return [StoredSegment(**row._mapping) for row in await session.execute(statement)]


async def add(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, name: str, description: str
) -> None:
    values = {
        "workspace_id": workspace_id,
        "segment_id": segment_id,
        "name": name,
        "description": description,
        "created_at": func.now(),
        "updated_at": func.now(),
    }
    try:
        await session.execute(insert(SegmentRow).values(values))
    except IntegrityError as error:
        raise SegmentNameTaken(f"Another segment is called {name!r}.") from error


async def rename(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, name: str, description: str
) -> bool:
    """Whether there is such a segment."""
    statement = (
        update(SegmentRow)
        .where(SegmentRow.workspace_id == workspace_id, SegmentRow.segment_id == segment_id)
        .values(name=name, description=description, updated_at=func.now())
        .returning(SegmentRow.segment_id)
    )
    try:
        return (await session.execute(statement)).one_or_none() is not None
    except IntegrityError as error:
        raise SegmentNameTaken(f"Another segment is called {name!r}.") from error


async def remove(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> None:
    await session.execute(
        delete(SegmentRow).where(
            SegmentRow.workspace_id == workspace_id, SegmentRow.segment_id == segment_id
        )
    )


async def members(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, after: UUID, limit: int
) -> list[Membership]:
    """Members after a profile id, in order of it."""
    statement = (
        select(MembershipRow.profile_id, MembershipRow.entered_at)
        .where(
            MembershipRow.workspace_id == workspace_id,
            MembershipRow.rule_id == segment_id,
            MembershipRow.profile_id > after,
        )
        .order_by(MembershipRow.profile_id)
        .limit(limit)
    )
    return [Membership(**row._mapping) for row in await session.execute(statement)]


async def of_profile(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID
) -> list[tuple[UUID, str, datetime]]:
    """(segment id, name, entered at) of the segments a profile is in, by name."""
    statement = (
        select(SegmentRow.segment_id, SegmentRow.name, MembershipRow.entered_at)
        .join(
            MembershipRow,
            (MembershipRow.workspace_id == SegmentRow.workspace_id)
            & (MembershipRow.rule_id == SegmentRow.segment_id),
        )
        .where(SegmentRow.workspace_id == workspace_id, MembershipRow.profile_id == profile_id)
        .order_by(SegmentRow.name)
    )
    return [(r.segment_id, r.name, r.entered_at) for r in await session.execute(statement)]


async def count_profiles(session: AsyncSession, workspace_id: UUID) -> int:
    statement = select(func.count()).where(ProfileRow.workspace_id == workspace_id)
    return (await session.execute(statement)).scalar_one()


async def preview(
    session: AsyncSession,
    workspace_id: UUID,
    rule: Rule,
    past: Sequence[Row],
    skip: set[str],
    now_ms: int,
    sample: int,
) -> tuple[int, list[UUID]]:
    """How many profiles a rule holds for now, and the first few of them.

    ``past``: states of the leaves ``skip``, which are not (or not fully) counted here.
    """
    await session.execute(_PAST)
    await session.execute(_FILL, {"workspace_id": workspace_id, **_past_columns(past)})
    condition, parameters = compile_postgres(rule, now_ms, columns=_COLUMNS)
    # S608: the condition is written by `compile_postgres`; every value in it is bound.
    matching = (
        f"FROM profile p WHERE p.workspace_id = :workspace_id AND {condition} AND {_TARGETED}"
    )
    values: dict[str, Any] = {"workspace_id": workspace_id, **parameters}
    if ":skip" in matching:
        values["skip"] = list(skip)
    count = await session.execute(text(f"SELECT count(*) {matching}"), values)
    some = await session.execute(
        text(f"SELECT p.profile_id {matching} ORDER BY p.profile_id LIMIT {int(sample)}"), values
    )
    return int(count.scalar_one()), list(some.scalars())


def _past_columns(past: Sequence[Row]) -> dict[str, list[Any]]:
    def array(values: Sequence[int]) -> str:
        return "{" + ",".join(map(str, values)) + "}"

    return {
        "leaf_ids": [leaf_id for leaf_id, _, _ in past],
        "ids": [profile_id for _, profile_id, _ in past],
        "totals": [state.total for _, _, state in past],
        "recent": [array(state.recent) for _, _, state in past],
        "indexes": [array([i for i, _ in state.buckets]) for _, _, state in past],
        "counts": [array([n for _, n in state.buckets]) for _, _, state in past],
    }
