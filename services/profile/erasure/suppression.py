"""The ledger of suppressed subjects: whose events profile leaves out, whoever brings them again.

The sequencer of the log does the same for all readers; this is for what it let pass before it
heard of the erasure, and for a log or a ledger of its own that was set back to an older state.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.events import Event
from services.identifiers import subject_id
from services.kit.seal import Seal
from services.profile.erasure.personal import Person
from services.profile.erasure.tables import SuppressionRow

_ROW = SuppressionRow
_FIND = text("""
SELECT mark, CAST(floor(extract(epoch FROM lifted_at) * 1000) AS bigint) FROM suppression
WHERE workspace_id = :workspace_id AND mark = ANY(CAST(:marks AS bytea[]))
""")
OF_DEVICES = frozenset({"anonymous_id"})
"""Namespaces that somebody else may have next: beside a better identifier they suppress nothing."""
_FOREVER_MS = 1 << 62


async def add(
    session: AsyncSession,
    seal: Seal[Person],
    workspace_id: UUID,
    erasure_id: UUID,
    subjects: Collection[UUID],
    now: datetime,
) -> None:
    statement = insert(_ROW)
    statement = statement.on_conflict_do_update(
        index_elements=[_ROW.workspace_id, _ROW.mark],
        set_={"lifted_at": None, "erasure_id": statement.excluded.erasure_id},
    )
    rows = [
        {
            "workspace_id": workspace_id,
            "mark": seal.mark(subject),
            "erasure_id": erasure_id,
            "suppressed_at": now,
        }
        for subject in subjects
    ]
    await session.execute(statement, rows)


async def erasure_of(
    session: AsyncSession, seal: Seal[Person], workspace_id: UUID, subject: UUID
) -> UUID | None:
    """The last erasure of whoever had this id."""
    statement = select(_ROW.erasure_id).where(
        _ROW.workspace_id == workspace_id, _ROW.mark == seal.mark(subject)
    )
    return (await session.scalars(statement)).one_or_none()


async def lift(
    session: AsyncSession,
    seal: Seal[Person],
    workspace_id: UUID,
    subjects: Collection[UUID],
    now: datetime,
) -> int:
    """What happens from ``now`` on is taken again; what happened before never is."""
    statement = (
        update(_ROW)
        .where(
            _ROW.workspace_id == workspace_id,
            _ROW.mark.in_([seal.mark(each) for each in subjects]),
            _ROW.lifted_at.is_(None),
        )
        .values(lifted_at=now)
        .returning(_ROW.mark)
    )
    return len((await session.execute(statement)).all())


async def suppressed(
    session: AsyncSession, seal: Seal[Person], workspace_id: UUID, events: Sequence[Event]
) -> set[int]:
    """Indexes of the events of suppressed people: by their subject, or by an email or phone."""
    if not await session.scalar(select(exists().where(_ROW.workspace_id == workspace_id))):
        return set()
    marks: dict[str, bytes] = {}
    for event in events:
        for subject in _subjects(workspace_id, event):
            if subject not in marks:
                marks[subject] = seal.mark(UUID(subject))
    values = {"workspace_id": workspace_id, "marks": list(marks.values())}
    until = {m: _FOREVER_MS if ms is None else ms for m, ms in await session.execute(_FIND, values)}
    if not until:
        return set()
    return {
        index
        for index, event in enumerate(events)
        if any(
            event.occurred_at < until.get(marks[subject], 0)
            for subject in _subjects(workspace_id, event)
        )
    }


def _subjects(workspace_id: UUID, event: Event) -> list[str]:
    others = (named for named in event.identifiers[1:] if named[0] not in OF_DEVICES)
    return [event.subject_id, *(str(subject_id(workspace_id, *named)) for named in others)]
