"""Brings new computed traits up to date: fetches their past from tracking, then writes values.

The past is laid beside what is counted live, block by block, and counts for nobody until it is
whole; a fetch that breaks off begins anew. Then everybody is walked, past and present are added
up, and values are told.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID, uuid4

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.tracking import AggregateQuery
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.profile.clock import Clock, to_ms
from services.profile.computed import aggregates, service, states, store
from services.profile.computed.aggregates import StoredAggregate
from services.profile.feed import store as feed
from services.profile.identity import store as identity
from services.profile.rules import service as rules
from services.profile.rules.service import News, RuleCache
from services.profile.stream import store as stream
from services.rules.aggregates import Aggregate, State, aggregate_of, from_json

AGGREGATES_PER_QUERY = 20
CHUNK = 5000
"""Profiles whose values, or states that are written in one transaction."""
FETCHED = 0.5
"""The share of all work that is done when the past is fetched."""
_FETCH_SECONDS = 120.0

Row = tuple[str, str, State]
"""(aggregate id, profile or subject id, state)."""


async def complete(
    maker: SessionMaker,
    tracking: ServiceClient,
    cache: RuleCache,
    clock: Clock,
    workspace_id: UUID,
) -> AsyncIterator[int | None]:
    """Do all that is waiting. After each transaction that told something, when the next window
    ends. Raises ``Unavailable`` while ClickHouse has not loaded the log that far."""
    async with workspace_tx(maker, workspace_id) as session:
        known = await aggregates.load(session, workspace_id)
    for batch in batches(each for each in known if each.state == "backfilling"):
        await _fetch(maker, tracking, workspace_id, batch)
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
        for start in range(0, len(found), AGGREGATES_PER_QUERY):
            yield found[start : start + AGGREGATES_PER_QUERY]


async def recount(
    tracking: ServiceClient,
    workspace_id: UUID,
    counted: Sequence[StoredAggregate],
    subject_ids: Sequence[UUID],
    max_log_offset: int,
) -> list[Row]:
    """The states of some subjects (at most 10,000), each by itself, from their events up to an
    offset of the log. For profiles that are taken apart again: ``merge`` makes theirs of these."""
    known = {each.aggregate_id: aggregate_of(each.definition) for each in counted}
    query = _query(counted, max_log_offset, subject_ids)
    with TemporaryFile() as answer:
        await _download(tracking, workspace_id, query, answer)
        found = await asyncio.to_thread(lambda: list(_rows(answer, known)))
    return [row for rows, _ in found for row in rows]


async def _fetch(
    maker: SessionMaker, tracking: ServiceClient, workspace_id: UUID, batch: list[StoredAggregate]
) -> None:
    run_id, ids = uuid4(), [each.aggregate_id for each in batch]
    known = {each.aggregate_id: aggregate_of(each.definition) for each in batch}
    with TemporaryFile() as answer:
        query = _query(batch, batch[0].start_offset, None)
        await _download(tracking, workspace_id, query, answer)
        async with workspace_tx(maker, workspace_id) as session:
            await stream.lock(session, workspace_id)
            await aggregates.forget_past(session, workspace_id, ids)
            await aggregates.change(session, workspace_id, ids, run_id=run_id)
        chunks = _rows(answer, known)
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
    rows: list[Row],
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
    settled = await rules.settle(session, workspace_id, known, news, now_ms)
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


def _query(
    counted: Sequence[StoredAggregate], max_log_offset: int, subject_ids: Sequence[UUID] | None
) -> AggregateQuery:
    return AggregateQuery.model_validate(
        {
            "aggregates": {each.aggregate_id: each.definition for each in counted},
            "max_log_offset": max_log_offset,
            "subject_ids": subject_ids,
        }
    )


async def _download(
    tracking: ServiceClient, workspace_id: UUID, query: AggregateQuery, into: IO[bytes]
) -> None:
    """The whole answer goes to a file first: ClickHouse is not held up by our writing."""
    async with tracking.stream(
        "POST",
        "/internal/v1/aggregates/query",
        workspace_id=workspace_id,
        content=query.model_dump_json(by_alias=True, exclude_none=True),
        headers={"Content-Type": "application/json"},
        timeout=_FETCH_SECONDS,
    ) as response:
        response.raise_for_status()
        async for part in response.aiter_bytes():
            await asyncio.to_thread(into.write, part)


def _rows(answer: IO[bytes], known: Mapping[str, Aggregate]) -> Iterator[tuple[list[Row], float]]:
    """Chunks of the answer, and the share of it that is read with each."""
    size = max(1, answer.tell())
    answer.seek(0)
    with pa.ipc.open_stream(answer) as reader:
        for batch in reader:
            share = min(1.0, answer.tell() / size)
            for start in range(0, batch.num_rows, CHUNK):
                columns = (column.to_pylist() for column in batch.slice(start, CHUNK).columns)
                found = zip(*columns, strict=True)
                yield [(a, p, from_json(state, known[a])) for a, p, state in found], share
