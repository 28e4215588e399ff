"""The steps of an erasure, each safe to repeat: a process may be killed between any two lines.

What a step has done is committed with the state that says so, or is found done when it is repeated.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.kit import compaction
from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.clickhouse import mutations
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.erasure import logged, refused, store, stored
from services.tracking.erasure.certificate import Stores, counted
from services.tracking.erasure.logged import Held, Written
from services.tracking.erasure.refused import Person
from services.tracking.erasure.seal import Seal, Work
from services.tracking.erasure.store import Open
from services.tracking.erasure.stored import Table
from services.tracking.erasure.tombstone import without
from services.tracking.log import pages
from services.tracking.log.port import Log, events_partition, outcomes_partition
from services.tracking.log.store import LOADER, apply_verdicts

BATCH_ROWS = 200


@dataclass(frozen=True, slots=True)
class Resources:
    maker: SessionMaker
    clickhouse: ClickHouse
    seal: Seal
    log: Log
    cluster: Cluster | None = None
    """Of ClickHouse."""


@dataclass(slots=True)
class Task:
    """An erasure that is being worked on; ``stores`` as committed."""

    id: UUID
    workspace_id: UUID
    work: Work
    stops: dict[str, int]
    stores: Stores
    purged_at: datetime | None


async def load(resources: Resources, each: Open) -> Task:
    async with workspace_tx(resources.maker, each.workspace_id) as session:
        row = await store.find(session, each.workspace_id, each.id)
    assert row is not None, "it was open a moment ago, and erasures are never deleted"
    assert row.work is not None, "an open erasure has its notes"
    work = resources.seal.open(row.work)
    return Task(row.id, row.workspace_id, work, row.stops, row.stores, row.purged_at)


async def hide(resources: Resources, task: Task) -> bool:
    """Hides what ClickHouse holds, having noted where in the log it lies. True when that is all:
    the loader had passed every row that was sequenced before the person was suppressed."""
    clickhouse = resources.clickhouse
    loaded = await _is_loaded(resources, task)
    found = await stored.find(clickhouse, task.workspace_id, task.work.subjects)
    known = {*task.work.identifiers, *found.identifiers}
    task.work = Work(task.work.subjects, sorted(known))
    # Found again after a kill they count once; merges of parts may have removed some meanwhile.
    task.stores = counted(task.stores, f"clickhouse:{stored.EVENTS}", at_least=found.rows)
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        for outcomes, partition in _partitions(task.workspace_id).items():
            offsets = [offset for kind, offset in found.places if kind is outcomes]
            await logged.add_places(session, task.workspace_id, task.id, partition, offsets)
        sealed = resources.seal.close(task.work)
        await store.change(session, task.id, work=sealed, stores=task.stores)
    await _hide(resources, task, of_identity=False)
    if loaded:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            await logged.add_duplicates(session, task.workspace_id, task.id, task.stops)
            await store.change(session, task.id, state="hidden", hidden_at=datetime.now(UTC))
    return loaded


async def rewrite(resources: Resources, task: Task) -> None:
    """Takes the person out of the log, the quarantine and the identity map."""
    if resources.log.rewritable:
        await _rewrite_log(resources, task)
    else:
        await _hide_in_log(resources, task)
    await _clean_quarantine(resources, task)
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        forgotten = await store.forget_identity(session, task.workspace_id, task.work.subjects)
        task.stores = counted(task.stores, "identity", more=forgotten)
        await store.change(session, task.id, stores=task.stores)
    await _hide(resources, task, of_identity=True)
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        await store.change(session, task.id, state="rewritten")


async def purge(resources: Resources, tasks: Sequence[Task]) -> bool:
    """Removes hidden and dead rows from the files, for all ``tasks`` at once. False when another
    session of PostgreSQL can still see the dead ones."""
    tables = await stored.tables(resources.clickhouse)
    for table in tables:
        await stored.purge(resources.clickhouse, resources.cluster, table)
    await _mutated(resources, tables)
    async with resources.maker.begin() as session:
        since = await compaction.transaction_id(session)
    for name in store.COMPACTED + ((store.LOG,) if resources.log.rewritable else ()):
        if not await compaction.compact(resources.maker, name, since):
            return False
    now = await stored.clock(resources.clickhouse)
    for task in tasks:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            await store.change(session, task.id, state="purged", purged_at=now)
    return True


async def _rewrite_log(resources: Resources, task: Task) -> None:
    subjects = {str(subject) for subject in task.work.subjects}
    after = ("", 0)
    while True:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            rows = await logged.places(session, task.id, after, BATCH_ROWS)
            changed, erased = await asyncio.to_thread(_without, rows, subjects)
            await logged.rewrite(session, task.workspace_id, changed)
            task.stores = counted(task.stores, "log", more=erased)
            await store.change(session, task.id, stores=task.stores)
        if not rows:
            return
        after = (rows[-1].partition, rows[-1].offset)


async def _hide_in_log(resources: Resources, task: Task) -> None:
    """Where rows stay as they are, readers leave out the person's entries from now on."""
    subjects = {str(subject) for subject in task.work.subjects}
    async for partition, rows in pages.pages(resources.log, task.stops):
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            judged = await apply_verdicts(session, partition, rows)
            held = [Held(partition, row.offset, row.data, row.drop) for row in judged]
            changed, _ = await asyncio.to_thread(_without, held, subjects)
            await logged.leave_out(session, task.workspace_id, changed)


def _without(rows: Sequence[Held], subjects: Collection[str]) -> tuple[list[Written], int]:
    changed, erased = [], 0
    for row in rows:
        new = without(row.partition, row.data, row.drop, subjects)
        if new is not None:
            changed.append(Written(row.partition, row.offset, new.data, new.drop))
            erased += new.erased
    return changed, erased


def whom(task: Task) -> Person:
    needles = stored.needles([each.lower() for each in task.work.identifiers])
    lowered = [each.encode() for each in needles]
    return Person(task.workspace_id, frozenset(task.work.subjects), lowered)


async def _clean_quarantine(resources: Resources, task: Task) -> None:
    person = whom(task)
    after = 0
    while True:
        async with workspace_tx(resources.maker, task.workspace_id) as session:
            rows = await store.quarantined(session, after, BATCH_ROWS)
            kept = await asyncio.to_thread(
                lambda rows: {row.id: refused.cleaned(row.raw, row.origin, person) for row in rows},
                rows,
            )
            changed = {row.id: kept[row.id] for row in rows if kept[row.id] != row.raw}
            await store.clean_quarantined(session, changed)
            task.stores = counted(task.stores, "quarantine", more=len(changed))
            await store.change(session, task.id, stores=task.stores)
        if not rows:
            return
        after = rows[-1].id


async def _is_loaded(resources: Resources, task: Task) -> bool:
    async with workspace_tx(resources.maker, task.workspace_id) as session:
        reached = await store.positions(session, task.workspace_id, LOADER)
    return all(reached.get(partition, 0) >= stop for partition, stop in task.stops.items())


async def _hide(resources: Resources, task: Task, *, of_identity: bool) -> None:
    """In the identity map, or in all other tables."""
    clickhouse, cluster = resources.clickhouse, resources.cluster
    found = await stored.tables(clickhouse)
    tables = [table for table in found if (table.name == stored.IDENTITY) is of_identity]
    for table in tables:
        await stored.hide(clickhouse, cluster, table, task.workspace_id, task.work.subjects)
    await _mutated(resources, tables)


async def _mutated(resources: Resources, tables: Sequence[Table]) -> None:
    names = [table.stored for table in tables]
    await mutations.ended(resources.clickhouse, resources.cluster, names)


def _partitions(workspace_id: UUID) -> dict[bool, str]:
    """By whether they are of outcomes."""
    return {False: events_partition(workspace_id), True: outcomes_partition(workspace_id)}
