"""Events and rules of one block of the feed: whom they wake or end, and for whom they are kept."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.orchestrator.engine import holdouts, missed_store, participant_store
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.entries import NEVER
from services.orchestrator.engine.library import Heard, Library
from services.orchestrator.engine.participants import Participant, Traces, by_profile
from services.orchestrator.journeys import listen, step
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.shapes import LONGEST_WINDOW_SECONDS


@dataclass(frozen=True, slots=True)
class Held:
    """A watched rule came to hold for a person."""

    rule_id: UUID
    at: int


def held(
    changes: Iterable[Change], rules: frozenset[UUID], heirs: Mapping[UUID, UUID]
) -> dict[UUID, list[Held]]:
    """What came to hold, by person, of the rules that running journeys watch."""
    found: dict[UUID, list[Held]] = {}
    for change in changes:
        if change.type == "rule.matched" and change.data["value"]:
            rule_id = UUID(change.data["rule_id"])
            if rule_id in rules:
                person = UUID(change.profile_id)
                found.setdefault(heirs.get(person, person), []).append(Held(rule_id, change.at))
    return found


@dataclass
class _Woken:
    """What one participant's events leave beside its traces."""

    moved: bool = False
    missed: list[Happening] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)


async def wake(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    heard: Heard,
    events: Sequence[Happening],
    holding: Mapping[UUID, Sequence[Held]],
    now: int,
) -> bool:
    """Pass events and rules to the participants of their people.

    The rows are locked: a timer that fires at the same moment finds its fence gone (WU-3). Events
    for waits that are not reached yet are kept for those on their way (WU-2).
    """
    relevant = by_profile(event for event in events if event.event in heard.events)
    if not relevant and not holding:
        return False
    await _convert_later(session, workspace_id, library, heard, relevant, now)
    live = await participant_store.lock_live(session, workspace_id, {*relevant, *holding})
    if not live:
        return False
    graphs = await library.load(session, (p.version_id for p in live))
    earlier = await missed_store.read(session, workspace_id, live)
    traces = Traces()
    woken: list[Participant] = []
    missed: list[tuple[UUID, Happening]] = []
    consumed: list[tuple[UUID, str]] = []
    for participant in live:
        compiled = graphs[participant.version_id]
        pending = earlier.get(participant.id, ())
        found = _listen(
            participant, compiled, relevant.get(participant.profile_id, ()), pending, traces
        )
        for each in holding.get(participant.profile_id, ()):
            after = listen.hold(compiled, participant.position, each.rule_id, each.at)
            if after is not None:
                found.moved = True
                traces.record(participant, after)
                _go_on(participant, compiled, [*pending, *found.missed], found, traces)
        missed += [(participant.id, event) for event in found.missed]
        consumed += [(participant.id, message_id) for message_id in found.consumed]
        if found.moved:
            woken.append(participant)
    await participant_store.update(session, workspace_id, woken, graphs, now)
    await missed_store.keep(session, workspace_id, missed)
    if woken:
        await missed_store.drop(session, workspace_id, woken, consumed)
    await carry(session, workspace_id, traces, graphs, now)
    return bool(woken)


async def _convert_later(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    heard: Heard,
    relevant: Mapping[UUID, Sequence[Happening]],
    now: int,
) -> None:
    """Count goals that people reach after they left, within the goals' windows."""
    people = {
        person
        for person, events in relevant.items()
        if any(event.event in heard.lasting for event in events)
    }
    if not people:
        return
    lasting = {
        person: [event for event in relevant[person] if event.event in heard.lasting]
        for person in people
    }
    await holdouts.count_goals(session, workspace_id, library, lasting)
    earliest = min(event.at for person in people for event in relevant[person])
    since = earliest - 1000 * LONGEST_WINDOW_SECONDS
    left = await participant_store.left_since(session, workspace_id, people, since)
    graphs = await library.load(session, (p.version_id for p in left))
    traces = Traces()
    for who in left:
        compiled = graphs[who.version_id]
        for event in relevant[who.profile_id]:
            if event.event in compiled.lasting:
                reached = listen.convert_later(compiled, who.way, who.position.due_at, event)
                traces.effects += [(who, goal) for goal in reached]
    await carry(session, workspace_id, traces, graphs, now)


def _listen(
    participant: Participant,
    compiled: Compiled,
    events: Sequence[Happening],
    earlier: Sequence[Happening],
    traces: Traces,
) -> _Woken:
    found = _Woken()
    pending = list(earlier)
    way = participant.way
    for event in events:
        after = listen.deliver(compiled, participant.position, way, event)
        if after is None:
            if listen.may_await(compiled, participant.position, way, event):
                found.missed.append(event)
                pending.append(event)
            continue
        found.moved = True
        traces.record(participant, after)
        _go_on(participant, compiled, pending, found, traces)
        pending = [each for each in pending if each.message_id not in found.consumed]
    return found


def _go_on(
    participant: Participant,
    compiled: Compiled,
    pending: Sequence[Happening],
    found: _Woken,
    traces: Traces,
) -> None:
    """As far as somebody who was woken gets without facts."""
    further = step.take(
        compiled, participant.position, participant.way, None, NEVER, missed=pending
    )
    traces.record(participant, further)
    found.consumed += further.consumed
