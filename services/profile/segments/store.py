"""SQL of segments and who is in them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.errors import SegmentNameTaken
from services.profile.rules.tables import MembershipRow, RuleRow
from services.profile.segments.tables import SegmentRow, SegmentVersionRow

_KEEP_VERSION = text("""
INSERT INTO segment_version
  (workspace_id, segment_id, version, name, description, definition, made_by, made_at)
SELECT s.workspace_id, s.segment_id, s.version, s.name, s.description, r.definition, :made_by, now()
FROM segment s
JOIN rule r ON r.workspace_id = s.workspace_id AND r.rule_id = s.segment_id
WHERE s.workspace_id = :workspace_id AND s.segment_id = :segment_id
""")


@dataclass(frozen=True, slots=True)
class StoredSegment:
    segment_id: UUID
    name: str
    description: str
    kind: str
    definition: dict[str, Any]
    state: str
    swept: int
    to_sweep: int
    version: int
    created_at: datetime
    updated_at: datetime
    members: int


@dataclass(frozen=True, slots=True)
class StoredVersion:
    version: int
    name: str
    description: str
    definition: dict[str, Any]
    made_by: str
    made_at: datetime


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
            RuleRow.kind,
            RuleRow.definition,
            RuleRow.state,
            RuleRow.swept,
            RuleRow.to_sweep,
            SegmentRow.version,
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
) -> None:
    statement = (
        update(SegmentRow)
        .where(SegmentRow.workspace_id == workspace_id, SegmentRow.segment_id == segment_id)
        .values(
            name=name,
            description=description,
            version=SegmentRow.version + 1,
            updated_at=func.now(),
        )
    )
    try:
        await session.execute(statement)
    except IntegrityError as error:
        raise SegmentNameTaken(f"Another segment is called {name!r}.") from error


async def keep_version(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, made_by: str
) -> None:
    """Keep the segment as it is now under its present version."""
    await session.execute(
        _KEEP_VERSION,
        {"workspace_id": workspace_id, "segment_id": segment_id, "made_by": made_by},
    )


async def versions(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, before: int, limit: int
) -> list[StoredVersion]:
    """Versions below ``before``, the latest first."""
    row = SegmentVersionRow
    statement = (
        select(row.version, row.name, row.description, row.definition, row.made_by, row.made_at)
        .where(row.workspace_id == workspace_id, row.segment_id == segment_id, row.version < before)
        .order_by(row.version.desc())
        .limit(limit)
    )
    return [StoredVersion(**found._mapping) for found in await session.execute(statement)]


async def remove(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> None:
    """The segment and its versions; who was in it when stays."""
    for row in (SegmentRow, SegmentVersionRow):
        await session.execute(
            delete(row).where(row.workspace_id == workspace_id, row.segment_id == segment_id)
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
