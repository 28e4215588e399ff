"""The check at the end of an erasure: every store is read for the person, decompressed."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.contracts.events import Event, Outcome
from services.kit.feeds import unpack
from services.kit.postgres import workspace_tx
from services.tracking.erasure import refused, store, stored
from services.tracking.erasure.certificate import counted
from services.tracking.erasure.refused import Person
from services.tracking.erasure.steps import BATCH_ROWS, Resources, Task
from services.tracking.erasure.store import Held
from services.tracking.log.port import is_outcomes


@dataclass(slots=True)
class Count:
    scanned: int = 0
    left: int = 0
    mentions: int = 0

    def add(self, other: "Count") -> None:
        self.scanned += other.scanned
        self.left += other.left
        self.mentions += other.mentions

    @property
    def line(self) -> dict[str, int]:
        return {"scanned": self.scanned, "left": self.left, "mentions": self.mentions}


async def verify(resources: Resources, task: Task) -> bool:
    """Writes the certificate. False when it is too early: ClickHouse removes the files of parts
    that were replaced some minutes later."""
    clickhouse = resources.clickhouse
    names = await stored.tables(clickhouse)
    assert task.purged_at is not None, "a purged erasure knows when"
    if await stored.old_parts(clickhouse, names, task.purged_at):
        return False
    counts: dict[str, Count] = {}
    for name in names:
        left = await stored.left(
            clickhouse, name, task.workspace_id, task.work.subjects, task.work.identifiers
        )
        counts[f"clickhouse:{name}"] = Count(left.scanned, left.rows, left.mentions)
    counts["log"] = await _log(resources, task)
    counts["quarantine"] = await _quarantine(resources, task)
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        people = await store.identities(session, task.workspace_id, task.work.subjects)
        counts["identity"] = Count(people, people, 0)
        for name, count in counts.items():
            task.stores = counted(task.stores, name, **count.line)
        await store.forget_places(session, task.id)
        await store.change(
            session,
            task.id,
            state="finished",
            work=None,
            stores=task.stores,
            verified=not any(count.left for count in counts.values()),
            finished_at=datetime.now(UTC),
        )
    return True


async def _log(resources: Resources, task: Task) -> Count:
    found = Count()
    after = ("", 0)
    while True:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            rows = await store.log_rows(session, task.workspace_id, after, BATCH_ROWS)
        if not rows:
            return found
        found.add(await asyncio.to_thread(look, rows, task))
        after = (rows[-1].partition, rows[-1].offset)


def look(rows: Sequence[Held], task: Task) -> Count:
    """Counts entries of the person in ``rows``, and others that name one of their identifiers."""
    subjects = {str(subject) for subject in task.work.subjects}
    identifiers = frozenset(task.work.identifiers)
    needles = stored.needles(identifiers)
    found = Count()
    for row in rows:
        outcomes = is_outcomes(row.partition)
        entries: list[Any] = unpack(row.data, Outcome if outcomes else Event)
        found.scanned += len(entries)
        for entry in entries:
            if (entry.profile_id if outcomes else entry.subject_id) in subjects:
                found.left += 1
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
    needles = [each.encode() for each in task.work.identifiers]
    person = Person(task.workspace_id, frozenset(task.work.subjects), needles)
    found = Count()
    after = 0
    while True:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            rows = await store.quarantined(session, after, BATCH_ROWS)
        if not rows:
            return found
        found.scanned += len(rows)
        found.left += await asyncio.to_thread(
            lambda rows: sum(refused.cleaned(r.raw, r.origin, person) != r.raw for r in rows), rows
        )
        after = rows[-1].id
