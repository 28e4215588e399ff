"""Counts the events of two people anew who were one until a merge was undone.

What was counted for both cannot be told apart, so it is thrown away: from then on their events
count live, and tracking is asked for all earlier ones by subject, which needs nobody's map.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http import ServiceClient
from services.profile.accounts import member_store
from services.profile.computed import aggregates
from services.profile.computed import past as computed_past
from services.profile.computed import service as computed
from services.profile.computed import states as computed_states
from services.profile.computed.aggregates import StoredAggregate
from services.profile.computed.states import Key
from services.profile.identity import store as identity
from services.profile.merges import impact
from services.profile.recounts import store
from services.profile.rules import backfill, past, states
from services.profile.rules import store as registered
from services.profile.rules.advance import Touched
from services.profile.rules.past import Row
from services.profile.rules.ruleset import RuleSet
from services.profile.rules.service import News, Settled
from services.profile.rules.settle import settle
from services.profile.rules.store import PendingLeaf
from services.profile.stream import store as stream
from services.rules import leaf_of
from services.rules.aggregates import State, aggregate_of

AT_ONCE = 2
"""Profiles per round, as an unmerge makes them: at most 2,000 subjects in a query."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Live counting goes on after ``start_offset``; all events up to it are missing."""

    start_offset: int
    subjects: dict[str, list[str]]
    """By profile."""
    leaves: list[PendingLeaf]
    aggregates: list[StoredAggregate]


@dataclass(frozen=True, slots=True)
class Past:
    """States from the events that are missing: of leaves by profile, of aggregates by subject."""

    leaves: list[Row] = field(default_factory=list)
    aggregates: list[computed_past.Row] = field(default_factory=list)


async def due(session: AsyncSession, workspace_id: UUID) -> Begun | None:
    """What would be asked for if it began now. Ask for it once and throw the answer away.

    Then ``begin`` finds a tracking that answers, and the states are gone for a moment only.
    """
    waiting = (await store.pending(session, workspace_id))[:AT_ONCE]
    if not waiting or await registered.pending_leaves(session, workspace_id):
        return None
    counted = await aggregates.load(session, workspace_id)
    if any(each.state != "ready" for each in counted):
        return None
    place = await stream.place(session, workspace_id)
    ids = [each.profile_id for each in waiting]
    subjects: dict[str, list[str]] = {each: [] for each in ids}
    for link in await identity.identifiers_of(session, workspace_id, ids):
        subjects[link.profile_id].append(link.subject_id)
    leaves = [
        PendingLeaf(leaf.leaf_id, leaf.definition, place.log_offset)
        for leaf in await registered.leaves(session, workspace_id)
    ]
    return Begun(place.log_offset, subjects, leaves, counted)


async def begin(session: AsyncSession, workspace_id: UUID) -> Begun | None:
    """Throw the states away; from this transaction on they are counted live from nothing."""
    await stream.lock(session, workspace_id)
    begun = await due(session, workspace_id)
    if begun is not None:
        await states.take(session, workspace_id, begun.subjects)
        known = {each.aggregate_id: aggregate_of(each.definition) for each in begun.aggregates}
        keys = [(profile_id, key) for profile_id in begun.subjects for key in known]
        await computed_states.take(session, workspace_id, keys, known)
        await store.begin(session, workspace_id, begun.subjects, begun.start_offset)
    return begun


async def fetch(tracking: ServiceClient, workspace_id: UUID, begun: Begun) -> Past:
    """Raises ``Unavailable`` while ClickHouse has not loaded the log that far."""
    if begun.start_offset == 0:
        return Past()
    rows: list[Row] = []
    for leaves in past.together(begun.leaves):
        async with past.fetch(tracking, workspace_id, leaves, subjects=begun.subjects) as found:
            rows += chain.from_iterable(map(past.rows, found.batches()))
    everybody = [UUID(each) for own in begun.subjects.values() for each in own]
    counted = await computed_past.recount(
        tracking, workspace_id, begun.aggregates, everybody, begun.start_offset
    )
    return Past(rows, counted)


async def finish(
    session: AsyncSession,
    workspace_id: UUID,
    rules: RuleSet,
    begun: Begun,
    missing: Past,
    now_ms: int,
) -> Settled:
    """Add the past, then ask everything about these people; the lock is held.

    One that began again meanwhile, or was merged away, is left to the next round.
    """
    merge_of = {
        each.profile_id: each.merge_id
        for each in await store.pending(session, workspace_id)
        if each.profile_id in begun.subjects and each.start_offset == begun.start_offset
    }
    # One that was dropped and registered anew has its whole past fetched for everybody.
    state = await registered.leaf_ids(session, workspace_id)
    wanted = {
        leaf.leaf_id: leaf_of(leaf.definition)
        for leaf in begun.leaves
        if state.get(leaf.leaf_id) == "ready"
    }
    counted = [row for row in missing.leaves if row[1] in merge_of and row[0] in wanted]
    await backfill.add_rows(session, workspace_id, wanted, counted)
    await store.finish(session, workspace_id, merge_of)
    touched = Touched()
    touched.everything(rules, merge_of)
    accounts = await member_store.accounts_of(session, workspace_id, merge_of)
    news = News(touched, accounts=accounts, new_rules=True)
    counted_anew = await _of_aggregates(session, workspace_id, begun, missing, merge_of)
    told = await computed.add_recounted(
        session, workspace_id, rules, news, merge_of, counted_anew, now_ms
    )
    settled = await settle(session, workspace_id, rules, news, now_ms)
    await impact.add_changes(session, workspace_id, merge_of, settled.changes)
    return Settled(told.changes + settled.changes, settled.next_due).with_due(told.next_due)


async def _of_aggregates(
    session: AsyncSession, workspace_id: UUID, begun: Begun, past: Past, wanted: Collection[str]
) -> dict[Key, list[State]]:
    """States of the subjects under their profiles, of what is counted still."""
    counted = await aggregates.load(session, workspace_id)
    # One that was dropped and made anew has its whole past fetched for everybody.
    known = {each.aggregate_id for each in counted if each in begun.aggregates}
    owner_of = {subject: profile for profile, own in begun.subjects.items() for subject in own}
    found: dict[Key, list[State]] = {}
    for aggregate_id, subject_id, state in past.aggregates:
        profile_id = owner_of[subject_id]
        if profile_id in wanted and aggregate_id in known:
            found.setdefault((profile_id, aggregate_id), []).append(state)
    return found


async def counting(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> bool:
    """Whether the states of any of these are not complete right now."""
    return any(
        each.start_offset is not None and each.profile_id in profile_ids
        for each in await store.pending(session, workspace_id)
    )
