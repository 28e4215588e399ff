"""The ledger of suppressed subjects: what the sequencer drops for good."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import exists, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from services.identifiers import subject_id
from services.kit.feeds import FeedRow, unpack
from services.tracking.erasure.seal import Seal
from services.tracking.tables import SuppressionRow

_ROW = SuppressionRow
_LOCK = "hashtextextended('suppression:' || CAST(:workspace_id AS text), 0)"
_LOCK_SHARED = text(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")
_LOCK_ALONE = text(f"SELECT pg_advisory_xact_lock({_LOCK})")
_FIND = text("""
SELECT mark, CAST(floor(extract(epoch FROM lifted_at) * 1000) AS bigint) FROM suppression
WHERE workspace_id = :workspace_id AND mark = ANY(CAST(:marks AS bytea[]))
""")
_OTHER_PEOPLE_CAN_HAVE_IT = frozenset({"anonymous_id", "device_id"})
_FOREVER_MS = 1 << 62


class _Entry(msgspec.Struct):
    """The part of an event or an outcome that says whose it is."""

    occurred_at: int
    subject_id: str = ""
    profile_id: str = ""
    identifiers: list[tuple[str, str]] = msgspec.field(default_factory=list)


async def add(
    session: AsyncSession, seal: Seal, workspace_id: UUID, subjects: Collection[UUID], now: datetime
) -> None:
    """From this transaction's commit on nothing of these subjects passes the sequencer.

    Waits for a sequencer that is deciding, so that the offset it had reached then divides what it
    decided without knowing from what it will decide.
    """
    await session.execute(_LOCK_ALONE, {"workspace_id": str(workspace_id)})
    statement = postgresql.insert(_ROW).on_conflict_do_update(
        index_elements=[_ROW.workspace_id, _ROW.mark], set_={"lifted_at": None}
    )
    await session.execute(
        statement,
        [
            {"workspace_id": workspace_id, "mark": seal.mark(s), "suppressed_at": now}
            for s in subjects
        ],
    )


async def lift(
    session: AsyncSession, seal: Seal, workspace_id: UUID, subjects: Collection[UUID], now: datetime
) -> int:
    """What happens from ``now`` on is taken again; what happened before never is."""
    await session.execute(_LOCK_ALONE, {"workspace_id": str(workspace_id)})
    statement = (
        update(_ROW)
        .where(
            _ROW.workspace_id == workspace_id,
            _ROW.mark.in_([seal.mark(s) for s in subjects]),
            _ROW.lifted_at.is_(None),
        )
        .values(lifted_at=now)
        .returning(_ROW.mark)
    )
    return len((await session.execute(statement)).all())


async def drops(
    session: AsyncSession, seal: Seal, workspace_id: UUID, rows: Sequence[FeedRow]
) -> dict[int, bytes]:
    """Offset → bitmap of the entries of suppressed people; rows without any are left out."""
    await session.execute(_LOCK_SHARED, {"workspace_id": str(workspace_id)})
    if not await session.scalar(select(exists().where(_ROW.workspace_id == workspace_id))):
        return {}
    named = await asyncio.to_thread(_named, seal, workspace_id, rows)
    marks = {mark for entries in named for entry in entries for mark in entry.marks}
    found = await session.execute(_FIND, {"workspace_id": workspace_id, "marks": list(marks)})
    until = {mark: _FOREVER_MS if ms is None else ms for mark, ms in found}
    return dict(_bitmaps(rows, named, until)) if until else {}


class _Named(NamedTuple):
    marks: list[bytes]
    occurred_at: int


def _named(seal: Seal, workspace_id: UUID, rows: Sequence[FeedRow]) -> list[list[_Named]]:
    """Whose each entry is and whom it names. A device's id that came with a better one is not
    enough: the next one at the device is somebody else."""
    known: dict[str, bytes] = {}

    def mark(subject: str) -> bytes:
        if subject not in known:
            known[subject] = seal.mark(UUID(subject))
        return known[subject]

    def marks(entry: _Entry) -> list[bytes]:
        found = [mark(entry.subject_id or entry.profile_id)]
        for namespace, value in entry.identifiers[1:]:
            if namespace not in _OTHER_PEOPLE_CAN_HAVE_IT:
                found.append(mark(str(subject_id(workspace_id, namespace, value))))
        return found

    return [[_Named(marks(e), e.occurred_at) for e in unpack(row.data, _Entry)] for row in rows]


def _bitmaps(
    rows: Sequence[FeedRow], named: Sequence[Sequence[_Named]], until: Mapping[bytes, int]
) -> Iterator[tuple[int, bytes]]:
    """``until``: by mark, the ms before which everything is dropped."""
    for row, entries in zip(rows, named, strict=True):
        bits = bytearray((len(entries) + 7) // 8)
        for index, entry in enumerate(entries):
            if any(entry.occurred_at < until.get(mark, 0) for mark in entry.marks):
                bits[index >> 3] |= 1 << (index & 7)
        if any(bits):
            yield row.offset, bytes(bits)
