"""Asks the rules about everybody of whom something is new, and writes what follows.

In portions of people: while a thread evaluates one, the rows of the next are read and what followed
of the one before is written, so that PostgreSQL and the rules work at the same time. Portions do
not depend on each other, as a rule asks about one person.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.account_segments import audience
from services.profile.recounts import store as recounts
from services.profile.rules import memberships, people, since, states
from services.profile.rules.advance import Advanced, advance, due, dues
from services.profile.rules.memberships import Pair
from services.profile.rules.ruleset import RuleSet
from services.profile.rules.service import News, Settled
from services.profile.rules.states import Held, Key
from services.profile.segments import history
from services.rules import EMPTY, merge, update

PEOPLE_AT_ONCE = 4000


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is stored of the people of a portion, as it was read."""

    news: News
    states: Sequence[Any]
    people: people.Stored


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is to be written of a portion."""

    states: dict[str, object]
    advanced: Advanced
    lasting: dict[Pair, int | None]
    """When what has held is next due; what nobody asks about any longer has no next time."""
    next_due: int | None


async def settle(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, news: News, now_ms: int
) -> Settled:
    """Write new leaf states, ask what was touched, write who entered and left what."""
    # What is counted anew is not true of anybody yet: whoever it concerns stands still meanwhile.
    for each in await recounts.pending(session, workspace_id):
        news.touched.spare(each.profile_id)
    settled, moved = Settled([], None), set[str]()

    async def save(outcome: _Outcome) -> None:
        nonlocal settled
        await _save(session, workspace_id, rules, outcome, now_ms)
        advanced = outcome.advanced
        moved.update(profile_id for profile_id, _ in chain(advanced.entered, advanced.exited))
        settled.changes.extend(advanced.changes)
        settled = settled.with_due(outcome.next_due)

    evaluation: asyncio.Task[_Outcome] | None = None
    try:
        for portion in portions(news, PEOPLE_AT_ONCE):
            stored = await _read(session, workspace_id, rules, portion, now_ms)
            before = await evaluation if evaluation is not None else None
            evaluation = asyncio.create_task(
                asyncio.to_thread(_evaluate, workspace_id, rules, stored, now_ms)
            )
            if before is not None:
                await save(before)
        if evaluation is not None:
            await save(await evaluation)
    finally:
        if evaluation is not None:
            # Of use only where something failed; its thread ends with what nobody else has.
            evaluation.cancel()
    settled.changes.extend(
        await audience.follow(session, workspace_id, news.accounts, moved, now_ms)
    )
    return settled


def portions(news: News, size: int) -> list[News]:
    """What is new, by at most ``size`` people each; accounts and samples, which are nobody's in
    particular or have been seen to, are left out."""
    keys = (news.counted, news.inherited, news.overdue, news.lasted)
    ids = dict.fromkeys(chain(*news.touched.nodes.values()))
    ids.update((profile_id, None) for profile_id, _ in chain(*keys))
    if len(ids) <= size:
        return [news]
    parts = [News(fresh=news.fresh, new_rules=news.new_rules) for _ in range(-(-len(ids) // size))]
    of = {profile_id: parts[place // size] for place, profile_id in enumerate(ids)}
    for index, profile_ids in news.touched.nodes.items():
        for profile_id in profile_ids:
            of[profile_id].touched.nodes.setdefault(index, {})[profile_id] = None
    for key, times in news.counted.items():
        of[key[0]].counted[key] = times
    for key, inherited in news.inherited.items():
        of[key[0]].inherited[key] = inherited
    for key in news.overdue:
        of[key[0]].overdue.append(key)
    for pair in news.lasted:
        of[pair[0]].lasted.append(pair)
    return parts


async def _read(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, news: News, now_ms: int
) -> _Stored:
    found = await states.read(session, workspace_id, _wanted(rules, news))
    asked = await people.read(
        session,
        workspace_id,
        news.touched.profiles(),
        held=rules.spans,
        now_ms=now_ms,
        read_accounts=any(source == "account" for source, _ in rules.readers),
    )
    return _Stored(news, found, asked)


def _wanted(rules: RuleSet, news: News) -> list[Key]:
    """States that are counted on, or read by what is asked and by what that may lead to."""
    keys = dict.fromkeys([*news.counted, *news.inherited, *news.overdue])
    for index, profile_ids in news.touched.nodes.items():
        for leaf_id in rules.needs[index]:
            for profile_id in profile_ids:
                keys[profile_id, leaf_id] = None
    return [key for key in keys if key[0] not in news.fresh]


def _evaluate(workspace_id: UUID, rules: RuleSet, stored: _Stored, now_ms: int) -> _Outcome:
    news, held = stored.news, states.held(stored.states)
    subjects = stored.people.subjects(rules.segments, rules.primary_model)
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
    lasting = dict.fromkeys(news.lasted) | dues(rules, subjects, now_ms)
    coming = [*(h.due for h in held.values()), *lasting.values()]
    coming += [
        now_ms + 1000 * rules.stalls[c.model_id, c.after]
        for c in advanced.stages
        if c.after is not None and (c.model_id, c.after) in rules.stalls
    ]
    next_due = min((at for at in coming if at is not None), default=None)
    return _Outcome(states.columns(workspace_id, changed), advanced, lasting, next_due)


async def _save(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, outcome: _Outcome, now_ms: int
) -> None:
    advanced = outcome.advanced
    await states.write(session, outcome.states)
    await memberships.save(session, workspace_id, advanced.entered, advanced.exited, now_ms)
    entered, exited = (
        [pair for pair in crossed if pair[1] in rules.segments]
        for crossed in (advanced.entered, advanced.exited)
    )
    await history.append(session, workspace_id, entered, exited, now_ms)
    await memberships.save_stages(session, workspace_id, advanced.stages, rules.stalls, now_ms)
    await since.save(session, workspace_id, outcome.lasting)


def _timed(rules: RuleSet, held: dict[Key, Held], keys: list[Key]) -> list[Key]:
    """Those of the states whose due time may be another, the first steps of sequences included."""
    found = dict.fromkeys(keys)
    if rules.first_steps:
        for profile_id, leaf_id in keys:
            for first in rules.first_steps.get(leaf_id, ()):
                found[profile_id, first] = None
    return [key for key in found if key in held]


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
