"""Entries of one block of the feed: who comes in, under which key, as the ledger decides."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.kit.ids import uuid7
from services.orchestrator.engine import anchor_store, entry_store, holdouts, participant_store
from services.orchestrator.engine.audience import Audience
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.entry_store import LedgerKey
from services.orchestrator.engine.library import Running
from services.orchestrator.engine.participants import Participant, Traces, trigger_of
from services.orchestrator.engine.triggers import triggers
from services.orchestrator.holdouts.arm_store import Would
from services.orchestrator.journeys import enter, step
from services.orchestrator.journeys.compiled import AUDIENCE, Happening
from services.orchestrator.journeys.entries import EntryCap
from services.orchestrator.journeys.position import ENTRY, REFUSED

# Timers are the executor's: whoever follows the feed only parks people.
NEVER = -(1 << 62)


@dataclass
class Entrant:
    """Somebody whom a trigger would let in, if audience, ledger and cap agree."""

    running: Running
    profile_id: UUID
    instance_key: str
    at: int
    trigger: dict[str, Any] = field(default_factory=dict)
    participant_id: UUID | None = None
    """Where it is said from outside, so that saying it again lets nobody in again."""


Refusal = Literal["not_in_audience", "holdout", "journey_holdout", "capped", "entered_before"]


@dataclass
class Admission:
    """Who was let in, by entrant, and who was not and why."""

    entered: list[tuple[Entrant, Participant]] = field(default_factory=list)
    refused: list[tuple[Entrant, Refusal]] = field(default_factory=list)


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


def by_change(
    running: Sequence[Running], changes: Iterable[Change], heirs: dict[UUID, UUID], now: int
) -> list[Entrant]:
    """Entries by segments, stages and stalls."""
    listening = triggers(running)
    entrants = []
    for change in changes if listening.by_change else ():
        for each in listening.of(change):
            if _fresh(each, change.at, now):
                profile_id = UUID(change.profile_id)
                trigger = {**change.data, "at": change.at}
                person = heirs.get(profile_id, profile_id)
                entrants.append(Entrant(each, person, "", change.at, trigger))
    return entrants


async def admit(
    session: AsyncSession,
    workspace_id: UUID,
    entrants: Sequence[Entrant],
    audience: Audience,
    now: int,
) -> Admission:
    """Let in whom audience, ledger, holdouts and cap let in, in this order.

    They are parked as far as that needs no facts. Who is not let in is counted with the reason.
    """
    admission, first = Admission(), dict[LedgerKey, Entrant]()
    for each in entrants:
        ledger_key = enter.ledger_key(each.running.compiled, each.instance_key)
        key = each.running.journey_id, each.profile_id, ledger_key
        if not _in_audience(each, audience):
            admission.refused.append((each, "not_in_audience"))
        elif key in first:
            admission.refused.append((each, "entered_before"))
        else:
            first[key] = each
    await _hold_out(session, workspace_id, first, admission)
    rotations = await _rotations(session, workspace_id, first, admission, now)
    traces = Traces()
    for key, rotation in rotations.items():
        each = first[key]
        compiled = each.running.compiled
        participant = _participant(each, key[2], rotation)
        traces.record(participant, step.enter(compiled, each.at))
        further = step.take(compiled, participant.position, participant.way, None, NEVER)
        traces.record(participant, further)
        admission.entered.append((each, participant))
    for each, reason in admission.refused:
        traces.flows[each.running.compiled.version_id, ENTRY, reason, REFUSED] += 1
    added = [participant for _, participant in admission.entered]
    graphs = {each.running.compiled.version_id: each.running.compiled for each in entrants}
    await participant_store.add(session, workspace_id, added, graphs, now)
    exited = [participant for participant in added if participant.position.state == "exited"]
    await entry_store.close(session, workspace_id, exited)
    await carry(session, workspace_id, traces, graphs, now)
    return admission


def _in_audience(entrant: Entrant, audience: Audience) -> bool:
    rule_id = entrant.running.compiled.rule_ids.get(AUDIENCE)
    return rule_id is None or audience.get(entrant.profile_id, {}).get(rule_id, False)


async def _hold_out(
    session: AsyncSession,
    workspace_id: UUID,
    first: dict[LedgerKey, Entrant],
    admission: Admission,
) -> None:
    """Take out of ``first`` who is held out. Those of all arms are kept at this same point, whom
    the ledger would let in: so that what became of them can be compared."""
    journeys = {key[0] for key in first}
    division = await holdouts.division(session, workspace_id, journeys)
    if division is None:
        return
    candidates = [_candidate(key, each) for key, each in first.items()]
    arms = []
    for candidate in await entry_store.admissible(session, workspace_id, candidates):
        each = first[candidate.key]
        compiled = each.running.compiled
        arm = division.arm(candidate.journey_id, compiled, each.profile_id)
        if arm is None:
            continue
        who = candidate.journey_id, compiled.version_id, each.profile_id
        arms.append(Would(*who, arm, each.at, each.trigger))
        if arm != "treated":
            reason: Refusal = "holdout" if arm == "globally_held_out" else "journey_holdout"
            admission.refused.append((first.pop(candidate.key), reason))
    await holdouts.keep(session, workspace_id, arms)


async def _rotations(
    session: AsyncSession,
    workspace_id: UUID,
    first: Mapping[LedgerKey, Entrant],
    admission: Admission,
    now: int,
) -> dict[LedgerKey, int]:
    """Whom ledger and cap let in, and how often they entered with this time."""
    candidates = [_candidate(key, each) for key, each in first.items()]
    caps = {key[0]: cap for key, each in first.items() if (cap := _cap(each)) is not None}
    for journey_id, cap in caps.items():
        asking = [each for each in candidates if each.journey_id == journey_id]
        free = await entry_store.admissible(session, workspace_id, asking)
        room = await entry_store.room(session, workspace_id, journey_id, cap, now)
        over = {each.key for each in free[room:]}
        admission.refused += [(first[key], "capped") for key in over]
        candidates = [each for each in candidates if each.key not in over]
    rotations = await entry_store.admit(session, workspace_id, candidates)
    known = [each.key for each in candidates if each.key not in rotations]
    admission.refused += [(first[key], "entered_before") for key in known]
    for journey_id, cap in caps.items():
        entered = sum(key[0] == journey_id for key in rotations)
        await entry_store.count(session, workspace_id, journey_id, cap, now, entered)
    return rotations


def _candidate(key: LedgerKey, entrant: Entrant) -> entry_store.Admitted:
    entry = entrant.running.compiled.graph.entry
    return entry_store.Admitted(
        *key,
        at=entrant.at,
        again=entry.entry_mode != "once",
        cooldown_seconds=entry.cooldown_seconds,
    )


def _cap(entrant: Entrant) -> EntryCap | None:
    return entrant.running.compiled.graph.entry.cap


def _participant(entrant: Entrant, ledger_key: str, rotation: int) -> Participant:
    compiled = entrant.running.compiled
    return Participant(
        id=entrant.participant_id or uuid7(),
        journey_id=entrant.running.journey_id,
        version_id=compiled.version_id,
        profile_id=entrant.profile_id,
        instance_key=entrant.instance_key,
        ledger_key=ledger_key,
        rotation=rotation,
        position=step.enter(compiled, entrant.at).position,
        entered_at=entrant.at,
        trigger=entrant.trigger,
    )
