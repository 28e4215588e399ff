"""What one block of profile's change feed does to journeys: entries, wake-ups, merges, gates."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit.feeds import FeedRow
from services.kit.ids import uuid7
from services.orchestrator.engine import anchor_store, merges, store
from services.orchestrator.engine.library import Library, Running
from services.orchestrator.engine.participants import (
    Participant,
    Traces,
    by_profile,
    trigger_of,
)
from services.orchestrator.journeys import enter, step
from services.orchestrator.journeys.compiled import Happening
from services.orchestrator.messages import gate_store


class FeedMoved(Exception):
    """Another process applied this block; nothing of ours was kept."""


@dataclass
class Entrant:
    """Somebody an event or a segment would let in, if the ledger agrees."""

    running: Running
    profile_id: UUID
    instance_key: str
    at: int
    trigger: dict[str, Any] = field(default_factory=dict)


_Role = tuple[int, int, int, Running, Happening, str | None]


async def apply(
    session: AsyncSession,
    workspace_id: UUID,
    before: int,
    rows: Sequence[FeedRow],
    library: Library,
    now: int,
) -> bool:
    """Apply a page as one set, in the caller's transaction, together with its offset.

    True when participants may have become due. Raises ``FeedMoved``.
    """
    if not await store.move_position(session, workspace_id, before, rows[-1].offset):
        raise FeedMoved
    changes = [change for row in rows for change in row.entries(Change)]
    await merges.merge(session, workspace_id, changes, library, now)
    await gate_store.apply(session, workspace_id, changes)
    running, awaited = await library.running(session)
    names = set(awaited).union(*(each.compiled.event_names for each in running))
    events = _happenings(changes, names, merges.heirs(changes))
    entrants = await _admitted(session, workspace_id, running, events, now)
    entrants += _segment_entrants(running, changes, merges.heirs(changes), now)
    entered = await _enter(session, workspace_id, entrants, now)
    woken = await _wake(session, workspace_id, library, events, awaited, now)
    return entered or woken


def _happenings(
    changes: Iterable[Change], names: set[str], heirs: dict[UUID, UUID]
) -> list[Happening]:
    """The events of these names, on the profiles that are canonical after this block."""
    found = []
    for change in changes:
        if change.type == "event" and change.data["event"] in names:
            profile_id = UUID(change.profile_id)
            found.append(
                Happening(
                    heirs.get(profile_id, profile_id),
                    change.data["event"],
                    change.data["message_id"],
                    change.at,
                    _object(change.data.get("properties")),
                    _object(change.data.get("context")),
                )
            )
    return found


def _object(text: Any) -> dict[str, Any]:
    value = msgspec.json.decode(text) if text else {}
    return value if isinstance(value, dict) else {}


async def _admitted(
    session: AsyncSession,
    workspace_id: UUID,
    running: Sequence[Running],
    events: Sequence[Happening],
    now: int,
) -> list[Entrant]:
    """Walk entry, anchor and barring events in their order in time; keep the anchors' state."""
    roles = sorted(
        (role for each in running for role in _roles(each, events)), key=lambda role: role[:3]
    )
    keys = {(r.journey_id, e.profile_id, k) for _, _, _, r, e, k in roles if k is not None}
    states = await anchor_store.read(session, workspace_id, keys)
    entrants: list[Entrant] = []
    for _, rank, _, each, event, key in roles:
        state = states[each.journey_id, event.profile_id, key] if key is not None else None
        if rank == 1:
            if each.state == "live" and _fresh(each, event.at, now):
                admission = enter.admit(each.compiled, event, state)
                if admission is not None:
                    trigger = trigger_of(event, admission.anchor_at)
                    key_of = admission.instance_key
                    entrants.append(Entrant(each, event.profile_id, key_of, event.at, trigger))
        elif state is not None:
            (enter.observe_anchor if rank == 0 else enter.observe_barring)(state, event)
    await anchor_store.write(session, workspace_id, states)
    return entrants


def _roles(running: Running, events: Sequence[Happening]) -> Iterator[_Role]:
    """What each event is to the entry of this journey, with its rank among simultaneous ones."""
    compiled = running.compiled
    if compiled.event_entry is None:
        return
    for index, event in enumerate(events):
        key = enter.anchor_key(compiled, event)
        if key is not None and enter.is_anchor(compiled, event):
            yield event.at, 0, index, running, event, key
        if enter.is_entry(compiled, event):
            yield event.at, 1, index, running, event, key
        if key is not None and enter.is_barring(compiled, event):
            yield event.at, 2, index, running, event, key


def _fresh(running: Running, at: int, now: int) -> bool:
    return now - at <= 1000 * running.compiled.graph.max_event_age_seconds


def _segment_entrants(
    running: Sequence[Running], changes: Iterable[Change], heirs: dict[UUID, UUID], now: int
) -> list[Entrant]:
    listening: dict[tuple[str, str], list[Running]] = {}
    for each in running:
        entry = each.compiled.segment_entry
        if entry is not None and each.state == "live":
            key = (f"segment.{entry.change}", str(entry.segment_id))
            listening.setdefault(key, []).append(each)
    entrants = []
    for change in changes if listening else ():
        if not change.type.startswith("segment."):
            continue
        for each in listening.get((change.type, change.data["segment_id"]), ()):
            if _fresh(each, change.at, now):
                profile_id = UUID(change.profile_id)
                trigger = {"segment_id": change.data["segment_id"], "at": change.at}
                person = heirs.get(profile_id, profile_id)
                entrants.append(Entrant(each, person, "", change.at, trigger))
    return entrants


async def _enter(
    session: AsyncSession, workspace_id: UUID, entrants: Sequence[Entrant], now: int
) -> bool:
    """Let in whom the ledger lets in, and park them as far as that needs no facts."""
    first: dict[tuple[UUID, UUID, str], Entrant] = {}
    for each in entrants:
        ledger_key = enter.ledger_key(each.running.compiled, each.instance_key)
        first.setdefault((each.running.journey_id, each.profile_id, ledger_key), each)
    candidates = [
        store.Admitted(
            journey_id=journey_id,
            profile_id=profile_id,
            ledger_key=ledger_key,
            at=each.at,
            again=each.running.compiled.graph.entry.entry_mode != "once",
            cooldown_seconds=each.running.compiled.graph.entry.cooldown_seconds,
        )
        for (journey_id, profile_id, ledger_key), each in first.items()
    ]
    rotations = await store.admit(session, workspace_id, candidates)
    traces = Traces()
    added = []
    for key, rotation in rotations.items():
        each = first[key]
        compiled = each.running.compiled
        entered = step.enter(compiled, each.at)
        participant = Participant(
            id=uuid7(),
            journey_id=each.running.journey_id,
            version_id=compiled.version_id,
            profile_id=each.profile_id,
            instance_key=each.instance_key,
            ledger_key=key[2],
            rotation=rotation,
            position=entered.position,
            entered_at=each.at,
            trigger=each.trigger,
        )
        traces.record(participant, entered)
        traces.record(participant, step.take(compiled, entered.position, None, _NEVER))
        added.append(participant)
    graphs = {each.running.compiled.version_id: each.running.compiled for each in entrants}
    await store.add(session, workspace_id, added, graphs, now)
    await store.close_entries(
        session, workspace_id, [p for p in added if p.position.state == "exited"]
    )
    await _keep(session, workspace_id, traces)
    return bool(added)


# Timers are the executor's: whoever follows the feed only parks people.
_NEVER = -(1 << 62)


async def _wake(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    events: Sequence[Happening],
    awaited: set[str],
    now: int,
) -> bool:
    """Pass awaited events to the participants of their people.

    The rows are locked: a timer that fires at the same moment finds its fence gone (WU-3). Events
    for waits that are not reached yet are kept for those on their way (WU-2).
    """
    relevant = by_profile(event for event in events if event.event in awaited)
    if not relevant:
        return False
    live = await store.lock_live(session, workspace_id, relevant)
    if not live:
        return False
    graphs = await library.load(session, (p.version_id for p in live))
    earlier = await store.missed(session, workspace_id, live)
    traces = Traces()
    woken: list[Participant] = []
    missed: list[tuple[UUID, Happening]] = []
    consumed: list[tuple[UUID, str]] = []
    for participant in live:
        compiled = graphs[participant.version_id]
        trigger = participant.happening
        pending = list(earlier.get(participant.id, ()))
        moved = False
        for event in relevant[participant.profile_id]:
            after = step.deliver(compiled, participant.position, trigger, event)
            if after is None:
                if step.may_await(compiled, participant.position, trigger, event):
                    missed.append((participant.id, event))
                    pending.append(event)
                continue
            moved = True
            traces.record(participant, after)
            further = step.take(
                compiled, participant.position, None, _NEVER, trigger=trigger, missed=pending
            )
            traces.record(participant, further)
            consumed += [(participant.id, message_id) for message_id in further.consumed]
            pending = [e for e in pending if e.message_id not in further.consumed]
        if moved:
            woken.append(participant)
    await store.update(session, workspace_id, woken, graphs, now)
    await store.keep_missed(session, workspace_id, missed)
    if woken:
        await store.drop_missed(session, workspace_id, woken, consumed)
    await _keep(session, workspace_id, traces)
    return bool(woken)


async def _keep(session: AsyncSession, workspace_id: UUID, traces: Traces) -> None:
    await store.count_flows(session, workspace_id, traces.flows)
    await store.queue_outcomes(session, workspace_id, traces.outcomes)
