"""Brings new rules up to date: counts the past of their leaves, then asks everybody once."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.computed import service as computed
from services.profile.computed import states as computed_states
from services.profile.identity import store as identity
from services.profile.merges import store as merges
from services.profile.profiles import read as profiles
from services.profile.rules import candidates, since, states, store
from services.profile.rules.advance import Touched
from services.profile.rules.candidates import Candidates
from services.profile.rules.past import Past, Row, columns
from services.profile.rules.past import rows as rows_of
from services.profile.rules.ruleset import Definition, RuleSet
from services.profile.rules.service import News, Settled
from services.profile.rules.settle import settle
from services.profile.rules.states import Held, Key
from services.profile.rules.store import PendingLeaf
from services.profile.stages import stalls
from services.profile.stream import store as stream
from services.profile.stream.aside import aside
from services.rules import EMPTY, Leaf, leaf_of, merge, normalise

FIRST = UUID(int=0)
CHUNK = 5000
"""Profiles that are asked, or states that are written, at once."""


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    leaves: Sequence[PendingLeaf],
    past: Past,
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
    batches = past.batches(list(wanted))
    coming = await asyncio.to_thread(_next, batches)
    while coming is not None:
        batch, columns = coming
        # The next is read while this one is written.
        async with aside(lambda: _next(batches)) as reading:
            added = await states.add(session, workspace_id, columns, batch.num_rows)
            coming = await reading
        if added is not None:
            rows = await asyncio.to_thread(rows_of, batch)
            rest = [row for row in rows if (row[1], row[0]) not in added]
            await add_rows(session, workspace_id, wanted, rest)
    await store.finish_leaves(session, workspace_id, wanted)


def _next(batches: Iterator[pa.RecordBatch]) -> tuple[pa.RecordBatch, dict[str, object]] | None:
    batch = next(batches, None)
    return None if batch is None else (batch, columns(batch))


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


@dataclass(frozen=True, slots=True)
class Sweep:
    """How far rules have asked: of ``people``, in order of id, those up to ``after``.

    ``candidates``: the only ones who need be asked; None where everybody has to be.
    """

    keys: frozenset[str]
    people: int
    candidates: Candidates | None = None
    after: UUID = FIRST
    asked: int = 0
    done: bool = False

    async def page(self, session: AsyncSession, workspace_id: UUID) -> list[UUID]:
        if self.candidates is not None:
            return self.candidates.page(self.asked, CHUNK)
        return await profiles.page(session, workspace_id, self.after, CHUNK)

    def past(self, ids: Sequence[UUID]) -> "Sweep":
        return replace(
            self,
            after=ids[-1] if ids else self.after,
            asked=self.asked + len(ids),
            done=len(ids) < CHUNK,
        )

    @property
    def shown(self) -> int:
        """How many people count as asked, those who need not be included."""
        if self.candidates is None or self.done:
            return self.people if self.done else self.asked
        return self.people * self.asked // max(len(self.candidates), 1)


async def plan_sweep(
    session: AsyncSession, workspace_id: UUID, keys: Collection[str], now_ms: int
) -> Sweep:
    """Who has to be asked about rules that are kept up to date since ``start_sweeps``."""
    found = await store.definitions(session, workspace_id)
    wanted = [definition for definition in found if definition.key in keys]
    chosen = await candidates.find(session, workspace_id, wanted, now_ms)
    people = await profiles.count(session, workspace_id)
    return Sweep(frozenset(keys), people, chosen)


async def sweep(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, sweep: Sweep, now_ms: int
) -> tuple[Settled, Sweep]:
    """Ask the rules about the next people."""
    page = await sweep.page(session, workspace_id)
    ids = set(map(str, page))
    if sweep.candidates is not None:
        # They were chosen a while ago: one may have been merged away or erased since.
        ids = set((await identity.canonical(session, workspace_id, ids)).values())
    touched = Touched()
    for index, node in enumerate(rules.nodes):
        if node.key in sweep.keys:
            touched.nodes[index] = dict.fromkeys(ids)
    news = News(touched, new_rules=True)
    scheduled = await computed.schedule(session, workspace_id, rules, news, ids, now_ms)
    settled = await settle(session, workspace_id, rules, news, now_ms)
    settled = settled.with_due(scheduled.next_due)
    after = sweep.past(page)
    await store.swept(session, workspace_id, map(UUID, sweep.keys), after.shown, all_=after.done)
    if after.done:
        await stream.revise_rules(session, workspace_id)
    return settled, after


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
