"""Brings new rules up to date: counts the past of their leaves, then asks everybody once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.tracking import LeafQuery
from services.kit.http import ServiceClient
from services.profile.computed import service as computed
from services.profile.computed import states as computed_states
from services.profile.identity import store as identity
from services.profile.merges import store as merges
from services.profile.profiles import read as profiles
from services.profile.rules import since, states, store
from services.profile.rules.advance import Touched
from services.profile.rules.ruleset import Definition, RuleSet
from services.profile.rules.service import News, Settled
from services.profile.rules.settle import settle
from services.profile.rules.states import Held, Key
from services.profile.rules.store import PendingLeaf
from services.profile.stages import stalls
from services.profile.stream import store as stream
from services.rules import EMPTY, Leaf, LeafState, leaf_of, merge, normalise

LEAVES_PER_QUERY = 50
CHUNK = 5000
"""Profiles that are asked, or states that are written, at once."""

Row = tuple[str, str, LeafState]
"""(leaf id, profile id, state)."""


async def fetch(
    tracking: ServiceClient,
    workspace_id: UUID,
    leaves: list[PendingLeaf],
    *,
    subjects: Mapping[str, Sequence[str]] | None = None,
    min_feed_offset: int | None = None,
) -> list[Row]:
    """States of leaves that share a start offset, from the events up to it.

    ``subjects``: of these profiles only, and of exactly these subjects each. Raises
    ``Unavailable`` while ClickHouse has not loaded the log that far, or tracking does not know
    yet who is who since the row ``min_feed_offset`` of the change feed.
    """
    query = LeafQuery.model_validate(
        {
            "leaves": {leaf.leaf_id: leaf.definition for leaf in leaves},
            "max_log_offset": leaves[0].start_offset,
            "min_feed_offset": min_feed_offset,
            "subjects": subjects,
        }
    )
    response = await tracking.request(
        "POST",
        "/internal/v1/rules/query",
        workspace_id=workspace_id,
        content=query.model_dump_json(by_alias=True, exclude_none=True),
        headers={"Content-Type": "application/json"},
    )
    response.raise_for_status()
    return await asyncio.to_thread(_rows, response.content)


def batches(pending: Iterable[PendingLeaf]) -> Iterable[list[PendingLeaf]]:
    """Leaves that can be fetched in one query; ``pending`` ordered by start offset."""
    for _, same in groupby(pending, key=lambda leaf: leaf.start_offset):
        leaves = list(same)
        for start in range(0, len(leaves), LEAVES_PER_QUERY):
            yield leaves[start : start + LEAVES_PER_QUERY]


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    leaves: list[PendingLeaf],
    rows: list[Row],
    unmerged: int,
) -> None:
    """Add the past to what was counted live since, once, under the workspace's lock.

    ``unmerged``: the ``last_unmerge`` that tracking knew of; a later one has the rows thrown away,
    as they may give one person the past of two.
    """
    await stream.lock(session, workspace_id)
    if await merges.last_unmerge(session, workspace_id) != unmerged:
        return
    # One may have been dropped, or dropped and registered anew, while tracking was asked.
    still = {x.leaf_id: x.start_offset for x in await store.pending_leaves(session, workspace_id)}
    wanted = {
        x.leaf_id: leaf_of(x.definition) for x in leaves if still.get(x.leaf_id) == x.start_offset
    }
    await add_rows(session, workspace_id, wanted, [row for row in rows if row[0] in wanted])
    await store.finish_leaves(session, workspace_id, wanted)


async def add_rows(
    session: AsyncSession, workspace_id: UUID, leaves: dict[str, Leaf], rows: list[Row]
) -> None:
    """Add states to those that are held; ``leaves``: those of the rows, by id."""
    for start in range(0, len(rows), CHUNK):
        await _add(session, workspace_id, leaves, rows[start : start + CHUNK])


async def _add(
    session: AsyncSession, workspace_id: UUID, leaves: dict[str, Leaf], rows: list[Row]
) -> None:
    # Tracking's map of identities may be behind ours or ahead of it.
    living = await identity.canonical(session, workspace_id, {row[1] for row in rows})
    held = await states.load(session, workspace_id, set(living.values()), leaves)
    changed: dict[Key, Held] = {}
    for leaf_id, profile_id, state in rows:
        if profile_id in living:
            key = (living[profile_id], leaf_id)
            mine = changed[key] = held.setdefault(key, Held(EMPTY, None))
            mine.state = merge(mine.state, state, leaves[leaf_id])
    await states.save(session, workspace_id, changed)


def _rows(content: bytes) -> list[Row]:
    with pa.ipc.open_stream(content) as reader:
        table = reader.read_all()
    names = ("leaf_id", "profile_id", "total", "first", "last", "recent", "buckets")
    rows: list[Row] = []
    for batch in table.to_batches(max_chunksize=CHUNK):
        for leaf_id, profile_id, *parts, buckets in zip(
            *(batch.column(name).to_pylist() for name in names), strict=True
        ):
            state = LeafState.from_wire((*parts, map(_pair, buckets)))
            rows.append((leaf_id, profile_id, state))
    return rows


def _pair(bucket: Any) -> tuple[int, int]:
    # ClickHouse's tuples come as structs.
    index, count = bucket.values() if isinstance(bucket, dict) else bucket
    return index, count


async def start_sweeps(session: AsyncSession, workspace_id: UUID) -> list[str]:
    """Rules whose leaves are all counted go on: the ids of those that now need everybody asked."""
    await stream.lock(session, workspace_id)
    found = await store.definitions(session, workspace_id)
    known = await store.states(session, workspace_id)
    leaves = await store.leaf_ids(session, workspace_id)
    waiting = [d for d in found if known[d.key] == "backfilling" and _counted(d, leaves)]
    live = [d.key for d in waiting if d.wanted]
    silent = [d.key for d in waiting if not d.wanted]
    if waiting:
        await store.set_state(session, workspace_id, map(UUID, silent), "ready")
        await stream.revise_rules(session, workspace_id)
    keys = live + [key for key, state in known.items() if state == "sweeping"]
    if keys:
        count = await profiles.count(session, workspace_id)
        await store.begin_sweep(session, workspace_id, map(UUID, keys), max(count, 1))
    return keys


def _counted(definition: Definition, leaves: dict[str, str]) -> bool:
    needed = (leaf for _, tree in definition.trees for leaf in normalise(dict(tree)).leaves)
    return all(leaves.get(leaf.leaf_id) == "ready" for leaf in needed)


async def sweep(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    keys: set[str],
    after: UUID,
    asked: int,
    now_ms: int,
) -> tuple[Settled, UUID | None, int]:
    """Ask the rules ``keys`` about the next profiles, ``asked`` having been asked before; the last
    of them, None when all were, and how many have been asked now."""
    ids = await profiles.page(session, workspace_id, after, CHUNK)
    touched = Touched()
    for index, node in enumerate(rules.nodes):
        if node.key in keys:
            touched.nodes[index] = dict.fromkeys(map(str, ids))
    news = News(touched, new_rules=True)
    scheduled = await computed.schedule(session, workspace_id, rules, news, ids, now_ms)
    settled = await settle(session, workspace_id, rules, news, now_ms)
    settled = settled.with_due(scheduled.next_due)
    asked, more = asked + len(ids), len(ids) == CHUNK
    await store.swept(session, workspace_id, map(UUID, keys), asked, all_=not more)
    if more:
        return settled, ids[-1], asked
    await stream.revise_rules(session, workspace_id)
    return settled, None, asked


async def next_due(session: AsyncSession, workspace_id: UUID) -> int | None:
    """The earliest ms at which time alone may change anything."""
    found = (
        await states.next_due(session, workspace_id),
        await computed_states.next_due(session, workspace_id),
    )
    return min((at for at in found if at is not None), default=None)


async def expire(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, now_ms: int
) -> tuple[list[Change], bool]:
    """Ask again what time alone may have changed; whether there may be more of it."""
    overdue = await states.due(session, workspace_id, now_ms, CHUNK)
    lasted = await since.due(session, workspace_id, now_ms, CHUNK)
    stalled = await stalls.begin(session, workspace_id, now_ms, CHUNK)
    news = News(overdue=overdue, lasted=lasted)
    told, more = await computed.expire(session, workspace_id, rules, news, now_ms, CHUNK)
    more = more or CHUNK in (len(overdue), len(lasted), len(stalled))
    for profile_id, leaf_id in overdue:
        news.touched.read(rules, ("leaf", leaf_id), profile_id)
    for profile_id, key in lasted:
        for kind in ("segment", "held"):
            news.touched.read(rules, (kind, key), profile_id)
    changes = stalled + told.changes
    if not overdue and not lasted and not news.touched.nodes:
        return changes, more
    settled = await settle(session, workspace_id, rules, news, now_ms)
    return changes + settled.changes, more
