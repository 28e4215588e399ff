"""Keeps rule state, segments, watched rules and stages true while people change."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.account_segments import audience
from services.profile.computed import aggregates
from services.profile.consents.ledger import PERSONALISATION
from services.profile.consents.policy import LAW_TRAITS
from services.profile.recounts import store as recounts
from services.profile.rules import memberships, people, since, states, store
from services.profile.rules.advance import Advanced, Touched, advance, due, dues
from services.profile.rules.count import count
from services.profile.rules.memberships import Pair
from services.profile.rules.ruleset import RuleSet, build
from services.profile.rules.states import Held, Key
from services.profile.segments import history
from services.profile.stream.block import Block
from services.profile.stream.service import Applied
from services.rules import EMPTY, LeafState, merge, update
from services.rules.partials import Sample


class RuleCache:
    """Compiled rules of the workspaces used last; ``revision`` says when they are stale."""

    def __init__(self, size: int = 100) -> None:
        self._size = size
        self._known: OrderedDict[UUID, tuple[int, RuleSet]] = OrderedDict()

    async def get(self, session: AsyncSession, workspace_id: UUID, revision: int) -> RuleSet:
        known = self._known.get(workspace_id)
        if known is None or known[0] != revision:
            definitions = await store.definitions(session, workspace_id)
            plans = await aggregates.plans(session, workspace_id)
            known = (revision, build(definitions, plans))
            self._known[workspace_id] = known
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(workspace_id)
        return known[1]


@dataclass(slots=True)
class News:
    """What is new about people: what to ask again, and what was counted for them."""

    touched: Touched = field(default_factory=Touched)
    counted: dict[Key, list[int]] = field(default_factory=dict)
    sampled: dict[Key, list[Sample]] = field(default_factory=dict)
    """What events add to computed traits, by (profile, aggregate)."""
    inherited: dict[Key, list[LeafState]] = field(default_factory=dict)
    """States that survivors of merges take over."""
    overdue: list[Key] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    """Profiles that the block made: nothing of them is stored yet."""
    lasted: list[Pair] = field(default_factory=list)
    """(profile, rule) that has now held as long as some rule asks."""
    accounts: set[str] = field(default_factory=set)
    """Accounts that changed in themselves or in their members."""
    new_rules: bool = False
    """Rules ask for the first time, so every state may have a new time to be asked again."""


@dataclass(frozen=True, slots=True)
class Settled:
    changes: list[Change]
    next_due: int | None
    """The earliest ms at which time alone may change what was looked at."""

    def with_due(self, other: int | None) -> "Settled":
        """The same, due at ``other`` if that is earlier."""
        due = [at for at in (self.next_due, other) if at is not None]
        return Settled(self.changes, min(due, default=None))


async def of_block(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, block: Block, applied: Applied
) -> News:
    """What a block of events, already applied to profiles, means for rules."""
    news = News()
    if rules.by_event or rules.aggregates_by_event:
        owners = map(applied.resolution.canonical, applied.resolution.owners)
        found = await asyncio.to_thread(count, rules, block.events, owners)
        news.counted, news.sampled = found.times, found.samples
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        became = {loser: applied.became[loser] for loser in gone}
        await memberships.inherit(session, workspace_id, became)
        await recounts.follow(session, workspace_id, became)
        for (loser, leaf_id), held in (await states.take(session, workspace_id, gone)).items():
            news.inherited.setdefault((became[loser], leaf_id), []).append(held.state)
    for profile_id, leaf_id in news.counted:
        news.touched.read(rules, ("leaf", leaf_id), profile_id)
    news.fresh = {p for p in applied.living if p not in applied.existing}
    news.touched.newcomers(rules, (p for p in applied.living if p in news.fresh))
    news.touched.everything(rules, applied.became.values())
    touch_facts(rules, news.touched, applied)
    return news


def touch_facts(rules: RuleSet, touched: Touched, applied: Applied) -> None:
    for profile_id in applied.living:
        if (traits := applied.folded.traits.get(profile_id)) is not None:
            for key in traits.changed:
                touched.read(rules, ("traits", key), profile_id)
            if not LAW_TRAITS.isdisjoint(traits.changed):
                for read in rules.readers:
                    if read[0] == "consent":
                        touched.read(rules, read, profile_id)
        if (consents := applied.folded.consents.get(profile_id)) is not None:
            purposes = {place.purpose for place in consents.changed}
            for purpose in purposes:
                touched.read(rules, ("consent", purpose), profile_id)
            if PERSONALISATION in purposes:
                touched.everything(rules, [profile_id])


async def settle(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, news: News, now_ms: int
) -> Settled:
    """Write new leaf states, ask what was touched, write who entered and left what."""
    # What is counted anew is not true of anybody yet: whoever it concerns stands still meanwhile.
    for each in await recounts.pending(session, workspace_id):
        news.touched.spare(each.profile_id)
    asked = news.touched.profiles()
    held = await _load_states(session, workspace_id, rules, news)
    subjects = await people.load(
        session,
        workspace_id,
        asked,
        segments=rules.segments,
        primary_model=rules.primary_model,
        held=rules.spans,
        now_ms=now_ms,
        read_accounts=any(source == "account" for source, _ in rules.readers),
    )

    def evaluate() -> tuple[dict[Key, Held], Advanced]:
        changed = _count(rules, held, news)
        for (profile_id, leaf_id), each in held.items():
            if profile_id in subjects:
                leaf_states = subjects[profile_id].person.leaf_states
                leaf_states[leaf_id] = each.state  # type: ignore[index]
        advanced = advance(rules, news.touched, subjects, now_ms)
        # An untouched state is due when it was; time alone makes no state due any sooner.
        again = held if news.new_rules else _timed(rules, held, [*changed, *news.overdue])
        for profile_id, leaf_id in again:
            each = held[profile_id, leaf_id]
            subject = subjects.get(profile_id)
            mine = subject.person.leaf_states if subject else {leaf_id: each.state}
            at = due(rules, leaf_id, mine, now_ms)
            if at != each.due:
                each.due = at
                changed[profile_id, leaf_id] = each
        return changed, advanced

    changed, advanced = await asyncio.to_thread(evaluate)
    await states.save(session, workspace_id, changed)
    await memberships.save(session, workspace_id, advanced.entered, advanced.exited, now_ms)
    entered, exited = (
        [pair for pair in crossed if pair[1] in rules.segments]
        for crossed in (advanced.entered, advanced.exited)
    )
    await history.append(session, workspace_id, entered, exited, now_ms)
    await memberships.save_stages(session, workspace_id, advanced.stages, rules.stalls, now_ms)
    # What nobody asks about any longer has no next time.
    lasting = dict.fromkeys(news.lasted) | dues(rules, subjects, now_ms)
    await since.save(session, workspace_id, lasting)
    moved = {profile_id for profile_id, _ in advanced.entered + advanced.exited}
    of_accounts = await audience.follow(session, workspace_id, news.accounts, moved, now_ms)
    coming = [*(h.due for h in held.values()), *lasting.values()]
    coming += [
        now_ms + 1000 * rules.stalls[c.model_id, c.after]
        for c in advanced.stages
        if c.after is not None and (c.model_id, c.after) in rules.stalls
    ]
    next_due = min((at for at in coming if at is not None), default=None)
    return Settled(advanced.changes + of_accounts, next_due)


def _timed(rules: RuleSet, held: dict[Key, Held], keys: list[Key]) -> list[Key]:
    """Those of the states whose due time may be another, the first steps of sequences included."""
    found = dict.fromkeys(keys)
    if rules.first_steps:
        for profile_id, leaf_id in keys:
            for first in rules.first_steps.get(leaf_id, ()):
                found[profile_id, first] = None
    return [key for key in found if key in held]


async def _load_states(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, news: News
) -> dict[Key, Held]:
    """All that is counted on, or read by what is asked and by what that may lead to."""
    keys = dict.fromkeys([*news.counted, *news.inherited, *news.overdue])
    for index, profile_ids in news.touched.nodes.items():
        for leaf_id in rules.needs[index]:
            for profile_id in profile_ids:
                keys[profile_id, leaf_id] = None
    if news.fresh:
        return await states.load_keys(
            session, workspace_id, [key for key in keys if key[0] not in news.fresh]
        )
    return await states.load_keys(session, workspace_id, keys)


def _count(rules: RuleSet, held: dict[Key, Held], news: News) -> dict[Key, Held]:
    """Add what was counted or inherited; the states that changed."""
    changed: dict[Key, Held] = {}
    for key, inherited in news.inherited.items():
        if (plan := rules.leaves.get(key[1])) is not None:
            mine = changed[key] = held.setdefault(key, Held(EMPTY, None))
            for state in inherited:
                mine.state = merge(mine.state, state, plan.leaf)
    for key, times in news.counted.items():
        mine = changed[key] = held.setdefault(key, Held(EMPTY, None))
        mine.state = update(mine.state, rules.leaves[key[1]].leaf, times)
    # An event outside a leaf's fixed window leaves the state empty: no row for that.
    for key in [key for key, mine in changed.items() if mine.state == EMPTY]:
        del changed[key], held[key]
    return changed
