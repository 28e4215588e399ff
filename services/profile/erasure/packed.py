"""Takes a person's entries out of rows that hold packed entries of many people."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.events import Event
from services.identifiers import subject_id
from services.kit import feeds
from services.profile.erasure.personal import NOBODY, Person
from services.profile.feed import store as feed
from services.profile.feed.tables import FeedRow
from services.profile.stream.tables import QuarantineRow

TOLD = "profile.erased"
"""The entry that tells readers whom to forget: ids, which must stay for those that have not read
it yet."""
PORTION_ROWS = 200


class _Whose(msgspec.Struct):
    type: str
    profile_id: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """``end``: the last offset that was looked at; None where there was none left."""

    end: int | None
    erased: int


async def rewrite_feed(
    session: AsyncSession, workspace_id: UUID, person: Person, after: int, until: int
) -> Rewritten:
    """The next rows of the feed behind ``after``. The others' entries keep their places: tombstones
    take those of the person, and the row's bitmap leaves them out for all readers."""
    rows = await feed.read(session, workspace_id, after, PORTION_ROWS)
    rows = [row for row in rows if row.offset <= until]
    ids = {str(each) for each in person.profile_ids}
    changed = await asyncio.to_thread(_without, rows, ids)
    for row, data, drop, _ in changed:
        await session.execute(
            update(FeedRow)
            .where(
                FeedRow.workspace_id == workspace_id,
                FeedRow.partition == str(workspace_id),
                FeedRow.offset == row.offset,
            )
            .values(data=data, drop=drop)
        )
    return Rewritten(rows[-1].offset if rows else None, sum(each[3] for each in changed))


def of_person(entries: Sequence[Any], ids: set[str]) -> list[int]:
    return [
        index for index, each in enumerate(entries) if each.profile_id in ids and each.type != TOLD
    ]


def look(rows: Sequence[feeds.FeedRow], person: Person) -> tuple[int, int]:
    """How many entries there are in ``rows``, and how many of them are the person's."""
    ids = {str(each) for each in person.profile_ids}
    found = [feeds.unpack(row.data, _Whose) for row in rows]
    return sum(map(len, found)), sum(len(of_person(each, ids)) for each in found)


def _without(
    rows: Sequence[feeds.FeedRow], ids: set[str]
) -> list[tuple[feeds.FeedRow, bytes, bytes, int]]:
    changed = []
    for row in rows:
        theirs = of_person(feeds.unpack(row.data, _Whose), ids)
        if not theirs:
            continue
        entries = feeds.unpack(row.data, Change)
        bits = bytearray(row.drop or bytes((len(entries) + 7) // 8))
        for index in theirs:
            entries[index] = Change("profile.updated", str(NOBODY), 0, {"traits": {}})
            bits[index >> 3] |= 1 << (index & 7)
        changed.append((row, feeds.pack(entries), bytes(bits), len(theirs)))
    return changed


async def clean_quarantine(session: AsyncSession, workspace_id: UUID, person: Person) -> int:
    """Deletes refused events of the person, or that name one of their identifiers."""
    gone = [seq for seq, _ in await refused(session, workspace_id, person)]
    if gone:
        await session.execute(
            delete(QuarantineRow).where(
                QuarantineRow.workspace_id == workspace_id, QuarantineRow.seq.in_(gone)
            )
        )
    return len(gone)


async def refused(
    session: AsyncSession, workspace_id: UUID, person: Person
) -> list[tuple[int, Event]]:
    """Refused events of the person, with their places in the log."""
    row = QuarantineRow
    after, found = -1, []
    subjects = {str(each) for each in person.subject_ids}
    while True:
        rows = (
            await session.execute(
                select(row.seq, row.event)
                .where(row.workspace_id == workspace_id, row.seq > after)
                .order_by(row.seq)
                .limit(PORTION_ROWS)
            )
        ).all()
        for seq, packed in rows:
            [event] = feeds.unpack(packed, Event)
            named = {event.subject_id} | {
                str(subject_id(workspace_id, *each)) for each in event.identifiers
            }
            if not named.isdisjoint(subjects):
                found.append((seq, event))
        if len(rows) < PORTION_ROWS:
            return found
        after = rows[-1].seq


async def quarantined(session: AsyncSession, workspace_id: UUID) -> int:
    statement = select(func.count()).where(QuarantineRow.workspace_id == workspace_id)
    return int(await session.scalar(statement) or 0)
