"""Entries of one block of the feed: who comes in, under which key, as the ledger decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit.ids import uuid7
from services.orchestrator.engine import anchor_store, entry_store, participant_store, trace_store
from services.orchestrator.engine.library import Running
from services.orchestrator.engine.participants import Participant, Traces, trigger_of
from services.orchestrator.journeys import enter, step
from services.orchestrator.journeys.compiled import Happening

# Timers are the executor's: whoever follows the feed only parks people.
NEVER = -(1 << 62)


@dataclass
class Entrant:
    """Somebody an event or a segment would let in, if the ledger agrees."""

    running: Running
    profile_id: UUID
    instance_key: str
    at: int
    trigger: dict[str, Any] = field(default_factory=dict)


_Role = tuple[int, int, int, Running, Happening, str | None]


async def by_event(
    session: AsyncSession,
    workspace_id: UUID,
    running: Sequence[Running],
    events: Sequence[Happening],
    now: int,
) -> list[Entrant]:
    """Walk entry, anchor and barring events in their order in time; keep the anchors' state."""
    named: dict[str, list[tuple[int, Happening]]] = {}
    for index, event in enumerate(events):
        named.setdefault(event.event, []).append((index, event))
    roles = sorted(
        (role for each in running for role in _roles(each, named)), key=lambda role: role[:3]
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


def _roles(
    running: Running, named: Mapping[str, Sequence[tuple[int, Happening]]]
) -> Iterator[_Role]:
    """What each event is to the entry of this journey, with its rank among simultaneous ones."""
    compiled = running.compiled
    if compiled.event_entry is None:
        return
    for index, event in (each for name in compiled.event_names for each in named.get(name, ())):
        key = enter.anchor_key(compiled, event)
        if key is not None and enter.is_anchor(compiled, event):
            yield event.at, 0, index, running, event, key
        if enter.is_entry(compiled, event):
            yield event.at, 1, index, running, event, key
        if key is not None and enter.is_barring(compiled, event):
            yield event.at, 2, index, running, event, key


def _fresh(running: Running, at: int, now: int) -> bool:
    return now - at <= 1000 * running.compiled.graph.max_event_age_seconds


def by_segment(
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


async def admit(
    session: AsyncSession, workspace_id: UUID, entrants: Sequence[Entrant], now: int
) -> bool:
    """Let in whom the ledger lets in, and park them as far as that needs no facts."""
    first: dict[tuple[UUID, UUID, str], Entrant] = {}
    for each in entrants:
        ledger_key = enter.ledger_key(each.running.compiled, each.instance_key)
        first.setdefault((each.running.journey_id, each.profile_id, ledger_key), each)
    candidates = [
        entry_store.Admitted(
            journey_id=journey_id,
            profile_id=profile_id,
            ledger_key=ledger_key,
            at=each.at,
            again=each.running.compiled.graph.entry.entry_mode != "once",
            cooldown_seconds=each.running.compiled.graph.entry.cooldown_seconds,
        )
        for (journey_id, profile_id, ledger_key), each in first.items()
    ]
    rotations = await entry_store.admit(session, workspace_id, candidates)
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
        traces.record(participant, step.take(compiled, entered.position, None, NEVER))
        added.append(participant)
    graphs = {each.running.compiled.version_id: each.running.compiled for each in entrants}
    await participant_store.add(session, workspace_id, added, graphs, now)
    await entry_store.close(
        session, workspace_id, [p for p in added if p.position.state == "exited"]
    )
    await trace_store.keep(session, workspace_id, traces)
    return bool(added)
