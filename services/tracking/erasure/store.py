"""SQL of erasures: their rows, the log rows and identities they touch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.tracking.log.port import events_partition, outcomes_partition
from services.tracking.tables import (
    ErasureRow,
    IdentityRow,
    LogReaderRow,
    QuarantineRow,
)

COMPACTED = ("quarantine", "identity")
"""Tables whose old rows could show something of the person; so does ``LOG`` where the log is."""
LOG = "log"

_OPEN = text("SELECT workspace_id, id, state FROM erasure_open()")


@dataclass(frozen=True, slots=True)
class Open:
    workspace_id: UUID
    id: UUID
    state: str


async def open_erasures(session: AsyncSession) -> list[Open]:
    """Of all workspaces, the oldest first."""
    return [Open(*row) for row in await session.execute(_OPEN)]


async def person(session: AsyncSession, workspace_id: UUID, profile_id: UUID) -> list[UUID]:
    """The canonical profile of ``profile_id`` first, then every other subject that belongs to it,
    and ``profile_id`` itself."""
    row = IdentityRow
    own = select(row.profile_id).where(
        row.workspace_id == workspace_id, row.subject_id == profile_id
    )
    canonical = await session.scalar(own) or profile_id
    others = await session.scalars(
        select(row.subject_id).where(row.workspace_id == workspace_id, row.profile_id == canonical)
    )
    return list(dict.fromkeys([canonical, profile_id, *others]))


async def add(session: AsyncSession, values: Mapping[str, Any]) -> None:
    await session.execute(insert(ErasureRow).values(**values))


async def latest(session: AsyncSession, workspace_id: UUID, mark: bytes) -> ErasureRow | None:
    """The last erasure of a profile."""
    statement = (
        select(ErasureRow)
        .where(ErasureRow.workspace_id == workspace_id, ErasureRow.mark == mark)
        .order_by(ErasureRow.id.desc())
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


async def find(session: AsyncSession, workspace_id: UUID, erasure_id: UUID) -> ErasureRow | None:
    statement = select(ErasureRow).where(
        ErasureRow.workspace_id == workspace_id, ErasureRow.id == erasure_id
    )
    return (await session.scalars(statement)).one_or_none()


async def change(session: AsyncSession, erasure_id: UUID, **values: Any) -> None:
    await session.execute(update(ErasureRow).where(ErasureRow.id == erasure_id).values(**values))


async def positions(session: AsyncSession, workspace_id: UUID, reader: str) -> dict[str, int]:
    """How far a reader is in each partition of the workspace that it ever read."""
    names = (events_partition(workspace_id), outcomes_partition(workspace_id))
    statement = select(LogReaderRow.partition, LogReaderRow.position).where(
        LogReaderRow.reader == reader, LogReaderRow.partition.in_(names)
    )
    return dict((await session.execute(statement)).all())


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of the quarantine."""

    id: int
    raw: bytes
    origin: bytes | None


async def quarantined(session: AsyncSession, after: int, limit: int) -> list[Refused]:
    """Those behind ``after``, by id."""
    row = QuarantineRow
    statement = (
        select(row.id, row.raw, row.origin).where(row.id > after).order_by(row.id).limit(limit)
    )
    return [Refused(*found) for found in await session.execute(statement)]


async def clean_quarantined(session: AsyncSession, kept: Mapping[int, bytes | None]) -> None:
    """By id what is kept of refused events; None: nothing."""
    row = QuarantineRow
    gone = [row_id for row_id, raw in kept.items() if raw is None]
    if gone:
        await session.execute(delete(row).where(row.id.in_(gone)))
    for row_id, raw in kept.items():
        if raw is not None:
            await session.execute(update(row).where(row.id == row_id).values(raw=raw))


async def forget_identity(
    session: AsyncSession, workspace_id: UUID, subjects: Collection[UUID]
) -> int:
    statement = (
        delete(IdentityRow)
        .where(IdentityRow.workspace_id == workspace_id, IdentityRow.subject_id.in_(subjects))
        .returning(IdentityRow.subject_id)
    )
    return len((await session.execute(statement)).all())


async def identities(session: AsyncSession, workspace_id: UUID, subjects: Collection[UUID]) -> int:
    """How many of ``subjects`` the map names, as a subject or as a profile."""
    row = IdentityRow
    statement = select(func.count()).where(
        row.workspace_id == workspace_id,
        row.subject_id.in_(subjects) | row.profile_id.in_(subjects),
    )
    return int(await session.scalar(statement) or 0)
