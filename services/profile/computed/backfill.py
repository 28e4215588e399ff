"""Brings new computed traits up to date: fetches their past from tracking, then writes values.

The past is laid beside what is counted live, block by block, and counts for nobody until it is
whole; a fetch that breaks off begins anew. Then everybody is walked, past and present are added
up, and values are told.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import groupby
from tempfile import TemporaryFile
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.clock import Clock, to_ms
from services.profile.computed import aggregates, past, service, states, store
from services.profile.computed.aggregates import StoredAggregate
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.merges import store as merges
from services.profile.rules.service import News, RuleCache
from services.profile.rules.settle import settle
from services.profile.stream import store as stream
from services.rules.aggregates import Aggregate, aggregate_of

CHUNK = 5000
"""Profiles whose values are written in one transaction."""
FETCHED = 0.5
"""The share of all work that is done when the past is fetched."""


async def complete(
    maker: SessionMaker,
    tracking: ServiceClient,
    cache: RuleCache,
    clock: Clock,
    workspace_id: UUID,
) -> AsyncIterator[int | None]:
    """Do all that is waiting. After each transaction that told something, when the next window
    ends. Raises ``Unavailable`` while ClickHouse has not loaded the log that far, or tracking does
    not know of the last unmerge."""
    async with workspace_tx(maker, workspace_id) as session:
        known = await aggregates.load(session, workspace_id)
        # One that is undone after this has both people counted anew.
        unmerged = await merges.last_unmerge(session, workspace_id)
    for batch in batches(each for each in known if each.state == "backfilling"):
        await _fetch(maker, tracking, workspace_id, batch, unmerged)
    async with workspace_tx(maker, workspace_id) as session:
        sweeping = await _start_sweep(session, workspace_id)
    after: UUID | None = UUID(int=0)
    while sweeping and after is not None:
        async with workspace_tx(maker, workspace_id) as session:
            due, after = await _sweep(session, workspace_id, cache, clock, sweeping, after)
        yield due


def batches(waiting: Iterable[StoredAggregate]) -> Iterable[list[StoredAggregate]]:
    """Aggregates that can be fetched in one query; ``waiting`` ordered by start offset."""
    for _, same in groupby(waiting, key=lambda each: each.start_offset):
        found = list(same)
        for start in range(0, len(found), past.AGGREGATES_PER_QUERY):
            yield found[start : start + past.AGGREGATES_PER_QUERY]


async def _fetch(
    maker: SessionMaker,
    tracking: ServiceClient,
    workspace_id: UUID,
    batch: list[StoredAggregate],
    unmerged: int,
) -> None:
    run_id, ids = uuid4(), [each.aggregate_id for each in batch]
    known = {each.aggregate_id: aggregate_of(each.definition) for each in batch}
    with TemporaryFile() as answer:
        wanted = past.query(batch, batch[0].start_offset, min_feed_offset=unmerged)
        await past.download(tracking, workspace_id, wanted, answer)
        async with workspace_tx(maker, workspace_id) as session:
            await stream.lock(session, workspace_id)
            await aggregates.forget_past(session, workspace_id, ids)
            await aggregates.change(session, workspace_id, ids, run_id=run_id)
        chunks = past.rows(answer, known)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            async with workspace_tx(maker, workspace_id) as session:
                await _add(session, workspace_id, run_id, known, *chunk)
    async with workspace_tx(maker, workspace_id) as session:
        await stream.lock(session, workspace_id)
        done = await _of_run(session, workspace_id, run_id)
        await aggregates.change(session, workspace_id, done, state="folding")
        await stream.revise_rules(session, workspace_id)


async def _of_run(session: AsyncSession, workspace_id: UUID, run_id: UUID) -> set[str]:
    """Those that were not dropped, or dropped and made anew, since the run began."""
    known = await aggregates.load(session, workspace_id)
    return {each.aggregate_id for each in known if each.run_id == run_id}


async def _add(
    session: AsyncSession,
    workspace_id: UUID,
    run_id: UUID,
    known: Mapping[str, Aggregate],
    rows: list[past.Row],
    done: float,
) -> None:
    """Lay a chunk of the past beside what is counted live, under the profiles that live now."""
    await stream.lock(session, workspace_id)
    wanted = await _of_run(session, workspace_id, run_id)
    # Tracking's map of identities may be behind ours or ahead of it.
    living = await identity.canonical(session, workspace_id, {row[1] for row in rows})
    added = (
        ((living[profile_id], aggregate_id), state)
        for aggregate_id, profile_id, state in rows
        if profile_id in living and aggregate_id in wanted
    )
    await states.add_past(session, workspace_id, added, known)
    traits = await store.traits(session, workspace_id)
    waiting = [t.trait_id for t in traits if t.aggregate_id in wanted and t.state == "backfilling"]
    await store.set_progress(session, workspace_id, waiting, FETCHED * done)


async def _start_sweep(session: AsyncSession, workspace_id: UUID) -> list[UUID]:
    """Traits whose past is whole go on: the ids of those whose values are to be written now."""
    await stream.lock(session, workspace_id)
    counting = {
        each.aggregate_id
        for each in await aggregates.load(session, workspace_id)
        if each.state == "backfilling"
    }
    traits = await store.traits(session, workspace_id)
    whole = [
        t.trait_id for t in traits if t.state == "backfilling" and t.aggregate_id not in counting
    ]
    if whole:
        await store.set_states(session, workspace_id, whole, "sweeping", FETCHED)
        await stream.revise_rules(session, workspace_id)
    return whole + [t.trait_id for t in traits if t.state in ("sweeping", "removing")]


async def _sweep(
    session: AsyncSession,
    workspace_id: UUID,
    cache: RuleCache,
    clock: Clock,
    sweeping: list[UUID],
    after: UUID,
) -> tuple[int | None, UUID | None]:
    """The next profiles of a sweep: (when the next window ends, the last of them)."""
    place = await stream.lock(session, workspace_id)
    known = await cache.get(session, workspace_id, place.rules_revision)
    now_ms = to_ms(clock.now())
    traits = [t for t in await store.traits(session, workspace_id) if t.trait_id in sweeping]
    current = {t.trait_id: t.aggregate_id for t in traits if t.state == "sweeping"}
    removed = {t.trait_id: t.name for t in traits if t.state == "removing"}
    news = News()
    told, last = await service.sweep(
        session,
        workspace_id,
        known,
        news,
        set(current.values()),
        list(removed.values()),
        after,
        now_ms,
        max(100, CHUNK // max(1, len(current))),
    )
    settled = await settle(session, workspace_id, known, news, now_ms)
    if changes := told.changes + settled.changes:
        await feed.append(session, workspace_id, changes)
    # Ids are spread evenly, so the place among them is the share of people that are done.
    share = 1.0 if last is None else last.int / 2**128
    await store.set_progress(session, workspace_id, current, FETCHED + (1 - FETCHED) * share)
    if last is None:
        await _finish(session, workspace_id, current, removed)
    return settled.with_due(told.next_due).next_due, last


async def _finish(
    session: AsyncSession,
    workspace_id: UUID,
    current: Mapping[UUID, str],
    removed: Mapping[UUID, str],
) -> None:
    await store.set_states(session, workspace_id, list(current), "ready", 1.0)
    await aggregates.change(session, workspace_id, set(current.values()), state="ready")
    await store.remove(session, workspace_id, list(removed))
    await aggregates.remove_unread(session, workspace_id)
    await stream.revise_rules(session, workspace_id)
