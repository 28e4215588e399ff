"""Keeps the values of computed traits true while events come, people merge and windows end."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.computed import states, values
from services.profile.computed.compute import Work, ageing, compute
from services.profile.computed.states import Key
from services.profile.profiles import read as profiles
from services.profile.recounts import store as recounts
from services.profile.rules.ruleset import RuleSet
from services.profile.rules.service import News
from services.profile.stream.service import Applied
from services.rules.aggregates import State

Values = Mapping[str, Mapping[str, Any]]
"""JSON by profile and name; None for no value."""


@dataclass(frozen=True, slots=True)
class Told:
    """Entries for the feed, and the earliest ms at which time may change what was looked at."""

    changes: list[Change] = field(default_factory=list)
    next_due: int | None = None


async def of_block(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    applied: Applied,
    news: News,
    now_ms: int,
) -> Told:
    """Write what a block, already applied to profiles and counted, means for computed traits."""
    work = Work(sampled=news.sampled)
    if gone := [loser for loser in applied.became if loser in applied.existing]:
        became = {loser: applied.became[loser] for loser in gone}
        work.inherited = await _inherit(session, workspace_id, rules, became)
    return await _settle(session, workspace_id, rules, news, work, now_ms)


async def _inherit(
    session: AsyncSession, workspace_id: UUID, rules: RuleSet, became: Mapping[str, str]
) -> dict[Key, list[State]]:
    """States that merged profiles leave; what of their past is still gathered moves at once."""
    known = {key: plan.aggregate for key, plan in rules.aggregates.items()}
    keys = [(loser, aggregate_id) for loser in became for aggregate_id in known]
    inherited: dict[Key, list[State]] = {}
    moved: list[tuple[Key, State]] = []
    taken = await states.take(session, workspace_id, keys, known)
    for (loser, aggregate_id), state in taken.items():
        inherited.setdefault((became[loser], aggregate_id), []).append(state)
    past = await states.take(session, workspace_id, keys, known, past=True)
    for (loser, aggregate_id), state in past.items():
        key = (became[loser], aggregate_id)
        if rules.aggregates[aggregate_id].folding:
            inherited.setdefault(key, []).append(state)
        else:
            moved.append((key, state))
    await states.add_past(session, workspace_id, moved, known)
    return inherited


async def expire(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    now_ms: int,
    limit: int,
) -> tuple[Told, bool]:
    """Write what time alone has changed; whether there may be more of it."""
    overdue = await states.due(session, workspace_id, now_ms, limit)
    for profile_id, aggregate_id in overdue:
        for trait in ageing(rules, rules.aggregates[aggregate_id]):
            news.touched.read(rules, ("computed", trait), profile_id)
    told = await _settle(session, workspace_id, rules, news, Work(asked=overdue), now_ms)
    return told, len(overdue) == limit


async def schedule(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    profile_ids: Iterable[object],
    now_ms: int,
) -> Told:
    """For rules that are new: a trait that counts days has a next time to be asked again."""
    counting = [key for key, plan in rules.aggregates.items() if ageing(rules, plan)]
    asked = [(str(profile_id), key) for profile_id in profile_ids for key in counting]
    return await _settle(session, workspace_id, rules, news, Work(asked=asked), now_ms)


async def sweep(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    aggregate_ids: Collection[str],
    removed: Collection[str],
    after: UUID,
    now_ms: int,
    limit: int,
) -> tuple[Told, UUID | None]:
    """Write the values that come of some aggregates, and take those named ``removed`` away, for
    the next profiles; the last of them, None when all were."""
    ids = await profiles.page(session, workspace_id, after, limit)
    asked = [(str(profile_id), key) for profile_id in ids for key in aggregate_ids]
    told = await _settle(session, workspace_id, rules, news, Work(asked=asked), now_ms)
    if removed:
        # Nobody is told: it is the trait that goes, not what people did.
        gone = {str(profile_id): dict.fromkeys(removed) for profile_id in ids}
        await publish(session, workspace_id, rules, news, gone, now_ms)
    return told, ids[-1] if len(ids) == limit else None


async def add_recounted(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    profile_ids: Collection[str],
    counted: dict[Key, list[State]],
    now_ms: int,
) -> Told:
    """Write what comes of the past of people that was counted anew, beside what was counted live
    since that began."""
    asked = [(profile_id, key) for profile_id in profile_ids for key in rules.aggregates]
    work = Work(inherited=counted, asked=asked)
    return await _settle(session, workspace_id, rules, news, work, now_ms)


async def publish(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    wanted: Values,
    now_ms: int,
) -> list[Change]:
    """Write the values that differ from what profiles hold and touch the rules that read them;
    the entries that tell of it. Names must be registered (``store.add``)."""
    known = await states.values(session, workspace_id, wanted.keys())
    return await _publish(session, workspace_id, rules, news, known, wanted, now_ms)


async def _publish(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    known: Values,
    wanted: Values,
    now_ms: int,
) -> list[Change]:
    changed: dict[str, dict[str, Any]] = {}
    changes: list[Change] = []
    for profile_id, named in wanted.items():
        if (mine := known.get(profile_id)) is None:
            continue
        for name in sorted(named):
            if values.same(named[name], mine.get(name)):
                continue
            changed.setdefault(profile_id, {})[name] = named[name]
            news.touched.read(rules, ("computed", name), profile_id)
            data = {"name": name, "value": values.shown(named[name], now_ms)}
            changes.append(Change("trait.computed", profile_id, now_ms, data))
    await states.put_values(session, workspace_id, changed)
    return changes


async def _settle(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    news: News,
    work: Work,
    now_ms: int,
) -> Told:
    keys = work.keys(rules)
    if not keys:
        return Told()
    known = {key: plan.aggregate for key, plan in rules.aggregates.items()}
    held = await states.load(session, workspace_id, keys, known)
    folding = [key for key in keys if rules.aggregates[key[1]].folding]
    past = await states.take(session, workspace_id, folding, known, past=True)
    mine = await states.values(session, workspace_id, {profile_id for profile_id, _ in keys})

    changed, wanted = await asyncio.to_thread(compute, rules, work, keys, held, past, now_ms)
    await states.save(session, workspace_id, changed, known)
    # What is counted anew is not true of anybody yet: whoever it concerns keeps their values.
    for each in await recounts.pending(session, workspace_id):
        wanted.pop(each.profile_id, None)
    changes = await _publish(session, workspace_id, rules, news, mine, wanted, now_ms)
    next_due = min((h.due for h in held.values() if h.due is not None), default=None)
    return Told(changes, next_due)
