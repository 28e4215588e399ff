"""The check at the end of an erasure: every store is read for the person, decompressed."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.contracts.events import Event, Outcome
from services.kit.feeds import FeedRow, unpack
from services.kit.postgres import workspace_tx
from services.tracking.erasure import logged, refused, store, stored
from services.tracking.erasure.certificate import counted
from services.tracking.erasure.refused import Person
from services.tracking.erasure.steps import BATCH_ROWS, Resources, Task, whom
from services.tracking.erasure.store import Refused
from services.tracking.log import pages
from services.tracking.log.port import is_outcomes

_NOT_REWRITABLE = (
    "The log lies on brokers and cannot be rewritten: the person is hidden from all its readers, "
    "and their events go when it is trimmed (TRACKING_LOG_KEEP_DAYS)."
)


@dataclass(slots=True)
class Count:
    scanned: int = 0
    left: int = 0
    mentions: int = 0
    late: int = 0
    """The person's events that came after the request: hidden, and not part of it."""
    missed: set[tuple[str, int]] = field(default_factory=set)
    """Partition and offset of log rows in which something is left."""
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Count") -> None:
        self.scanned += other.scanned
        self.left += other.left
        self.mentions += other.mentions
        self.late += other.late
        self.missed |= other.missed

    @property
    def line(self) -> dict[str, Any]:
        late = f"{self.late} events came late: hidden, they go with the log's retention."
        return {
            "scanned": self.scanned,
            "left": self.left,
            "mentions": self.mentions,
            "note": " ".join([*self.notes, late] if self.late else self.notes),
        }


async def verify(resources: Resources, task: Task) -> bool:
    """Writes the certificate. False when there is more to do: ClickHouse removes the files of parts
    that were replaced some minutes later, or the log holds what ClickHouse did not know of (events
    it had refused), which is then rewritten first."""
    clickhouse = resources.clickhouse
    tables = await stored.tables(clickhouse)
    assert task.purged_at is not None, "a purged erasure knows when"
    if await stored.old_parts(clickhouse, resources.cluster, tables, task.purged_at):
        return False
    log = await _log(resources, task)
    if log.missed and resources.log.rewritable:
        await _go_back(resources, task, log.missed)
        return False
    counts: dict[str, Count] = {"log": log}
    for table in tables:
        left = await stored.left(
            clickhouse, table.name, task.workspace_id, task.work.subjects, task.work.identifiers
        )
        counts[f"clickhouse:{table.name}"] = Count(left.scanned, left.rows, left.mentions)
    counts["quarantine"] = await _quarantine(resources, task)
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        people = await store.identities(session, task.workspace_id, task.work.subjects)
        counts["identity"] = Count(people, people, 0)
        for name, count in counts.items():
            task.stores = counted(task.stores, name, **count.line)
        await logged.forget_places(session, task.id)
        await store.change(
            session,
            task.id,
            state="finished",
            work=None,
            stores=task.stores,
            # Nobody can look into the files of brokers.
            verified=resources.log.rewritable and not any(c.left for c in counts.values()),
            finished_at=datetime.now(UTC),
        )
    return True


async def _go_back(resources: Resources, task: Task, missed: Collection[tuple[str, int]]) -> None:
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        for partition in {name for name, _ in missed}:
            offsets = [offset for name, offset in missed if name == partition]
            await logged.add_places(session, task.workspace_id, task.id, partition, offsets)
        await store.change(session, task.id, state="hidden")


async def _log(resources: Resources, task: Task) -> Count:
    found = Count()
    ends = await resources.log.ends(task.workspace_id)
    async for partition, rows in pages.pages(resources.log, ends):
        found.add(await asyncio.to_thread(look, partition, rows, task))
    if not resources.log.rewritable:
        found.notes.append(_NOT_REWRITABLE)
    return found


def look(partition: str, rows: Sequence[FeedRow], task: Task) -> Count:
    """Counts entries of the person in ``rows``, and others that name one of their identifiers."""
    subjects = {str(subject) for subject in task.work.subjects}
    identifiers = frozenset(task.work.identifiers)
    needles = stored.needles(identifiers)
    found = Count()
    outcomes = is_outcomes(partition)
    for row in rows:
        entries: list[Any] = unpack(row.data, Outcome if outcomes else Event)
        found.scanned += len(entries)
        for entry in entries:
            if (entry.profile_id if outcomes else entry.subject_id) in subjects:
                if row.offset > task.stops.get(partition, 0):
                    found.late += 1
                    continue
                found.left += 1
                found.missed.add((partition, row.offset))
            elif _mentions(entry, identifiers, needles):
                found.mentions += 1
    return found


def _mentions(entry: Event | Outcome, identifiers: Collection[str], needles: list[str]) -> bool:
    if isinstance(entry, Outcome):
        return any(needle in entry.properties for needle in needles)
    named = {entry.previous_id, *(value for _, value in entry.identifiers)}
    text = entry.properties + entry.traits + entry.context
    return not named.isdisjoint(identifiers) or any(needle in text for needle in needles)


async def _quarantine(resources: Resources, task: Task) -> Count:
    person = whom(task)
    found = Count()
    after = 0
    while True:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            rows = await store.quarantined(session, after, BATCH_ROWS)
        if not rows:
            return found
        found.add(await asyncio.to_thread(_look_at_refused, rows, person))
        after = rows[-1].id


def _look_at_refused(rows: Sequence[Refused], person: Person) -> Count:
    found = Count(scanned=len(rows))
    for row in rows:
        if refused.cleaned(row.raw, row.origin, person) != row.raw:
            found.left += 1
        elif refused.mentions(row.raw + (row.origin or b""), person):
            found.mentions += 1
    return found
