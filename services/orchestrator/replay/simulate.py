"""A journey in virtual time: the same entry, wait and step functions over past events. Pure.

Order at one time: anchor events, entry events, barring and awaited events, then timers.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from services.orchestrator.engine.participants import Participant, trigger_of
from services.orchestrator.journeys import enter, listen, step
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.effects import Converted, Send, Withdrawn
from services.orchestrator.journeys.enter import Admission, AnchorState
from services.orchestrator.journeys.position import EXIT, Step
from services.orchestrator.journeys.step import Known

KnownAt = Callable[[UUID, int], Known]
"""What is known of a person at a virtual time."""
Observe = Callable[[Happening], None]
"""Told of each event when its time has come, before anybody asks what is true then."""


@dataclass(slots=True, eq=False)
class _Virtual:
    participant: Participant
    missed: list[Happening] = field(default_factory=list)
    sent: bool = False
    reached: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Entry:
    rotation: int = 0
    active: bool = False
    exited_at: int = 0


class Simulation:
    """Feed it events in the order of time, then ``finish``. The same events give the same run."""

    def __init__(
        self,
        compiled: Compiled,
        journey_id: UUID,
        replay_id: UUID,
        known: KnownAt,
        observe: Observe = lambda event: None,
    ) -> None:
        self._compiled = compiled
        self._journey_id = journey_id
        self._replay_id = replay_id
        self._known = known
        self._observe_for_truths = observe
        self._anchors: dict[tuple[UUID, str], AnchorState] = {}
        self._entries: dict[tuple[UUID, str], _Entry] = {}
        self._live: dict[UUID, list[_Virtual]] = {}
        self._timers: list[tuple[int, int, int, _Virtual]] = []
        self._serial = 0
        self._group: list[Happening] = []
        self._people: set[UUID] = set()
        self._sends: list[tuple[Participant, Send]] = []
        self._withdrawn: list[tuple[UUID, int]] = []
        self.flows: Counter[tuple[str, str, str]] = Counter()
        self.goals: Counter[str] = Counter()
        self.entered = 0
        self.reminded = 0
        self.sent = 0
        self.now = -(1 << 62)
        """Everything has happened that happens before this time, ms."""

    @property
    def people(self) -> int:
        return len(self._people)

    @property
    def waiting(self) -> Counter[str]:
        """Live participants by node."""
        return Counter(
            virtual.participant.position.node for live in self._live.values() for virtual in live
        )

    def feed(self, events: Iterable[Happening]) -> None:
        for event in events:
            if self._group and event.at != self._group[0].at:
                self._close_group()
            self._group.append(event)

    def finish(self, clock_until: int) -> None:
        """Run the clock on to ``clock_until``, inclusive."""
        self._close_group()
        self._fire(clock_until)
        self.now = clock_until + 1

    def drain_sends(self) -> list[tuple[Participant, Send]]:
        """Sends since the last call, in the order in which they happened."""
        sends, self._sends = self._sends, []
        return sends

    def drain_withdrawn(self) -> list[tuple[UUID, int]]:
        """Participants whom a goal or exit rule ended since the last call, and when."""
        ended, self._withdrawn = self._withdrawn, []
        return ended

    def _close_group(self) -> None:
        """Everything that happened at one time."""
        group, self._group = self._group, []
        if not group:
            return
        self._fire(group[0].at - 1)
        for event in group:
            self._observe_for_truths(event)
            if enter.is_anchor(self._compiled, event):
                self._observe(event, enter.observe_anchor)
        for event in group:
            if enter.is_entry(self._compiled, event):
                self._try_entry(event)
        for event in group:
            if enter.is_barring(self._compiled, event):
                self._observe(event, enter.observe_barring)
            if event.event in self._compiled.awaited or event.event in self._compiled.ending:
                self._deliver(event)
        self._fire(group[0].at)
        self.now = group[0].at + 1

    def _observe(self, event: Happening, note: Callable[[AnchorState, Happening], None]) -> None:
        state = self._anchor(event)
        if state is not None:
            note(state, event)

    def _anchor(self, event: Happening) -> AnchorState | None:
        key = enter.anchor_key(self._compiled, event)
        if key is None:
            return None
        return self._anchors.setdefault((event.profile_id, key), AnchorState())

    def _try_entry(self, event: Happening) -> None:
        admission = enter.admit(self._compiled, event, self._anchor(event))
        if admission is not None:
            self._enter(event, admission)

    def _enter(self, event: Happening, admission: Admission) -> None:
        compiled = self._compiled
        rule = compiled.graph.entry
        ledger_key = enter.ledger_key(compiled, admission.instance_key)
        entry = self._entries.setdefault((event.profile_id, ledger_key), _Entry())
        if entry.rotation:
            rested = event.at >= entry.exited_at + 1000 * rule.cooldown_seconds
            if rule.entry_mode == "once" or entry.active or not rested:
                return
        entry.rotation += 1
        entry.active = True
        entered = step.enter(compiled, event.at)
        name = f"{event.profile_id}/{ledger_key}/{entry.rotation}"
        virtual = _Virtual(
            Participant(
                id=uuid5(self._replay_id, name),
                journey_id=self._journey_id,
                version_id=compiled.version_id,
                profile_id=event.profile_id,
                instance_key=admission.instance_key,
                ledger_key=ledger_key,
                rotation=entry.rotation,
                position=entered.position,
                entered_at=event.at,
                trigger=trigger_of(event, admission.anchor_at),
            )
        )
        self.entered += 1
        self._people.add(event.profile_id)
        self._live.setdefault(event.profile_id, []).append(virtual)
        self._record(virtual, entered)
        self._take(virtual, event.at)

    def _deliver(self, event: Happening) -> None:
        compiled = self._compiled
        for virtual in list(self._live.get(event.profile_id, ())):
            participant = virtual.participant
            way = participant.way
            after = listen.deliver(compiled, participant.position, way, event)
            if after is not None:
                self._record(virtual, after)
                self._take(virtual, event.at)
            elif listen.may_await(compiled, participant.position, way, event):
                virtual.missed.append(event)

    def _fire(self, until: int) -> None:
        """Timers due at or before ``until``, in order."""
        while self._timers and self._timers[0][0] <= until:
            due_at, _, visit, virtual = heapq.heappop(self._timers)
            position = virtual.participant.position
            # A timeout that was started anew has a later timer.
            if position.state == "waiting" and (position.visit, position.due_at) == (visit, due_at):
                self._take(virtual, due_at)

    def _take(self, virtual: _Virtual, now: int) -> None:
        participant = virtual.participant
        if participant.position.state == "exited":
            return
        taken = step.take(
            self._compiled,
            participant.position,
            participant.way,
            self._known(participant.profile_id, now),
            now,
            missed=virtual.missed,
        )
        self._record(virtual, taken)
        if taken.consumed:
            virtual.missed = [e for e in virtual.missed if e.message_id not in taken.consumed]
        position = participant.position
        if position.state == "waiting":
            self._serial += 1
            timer = (position.due_at, self._serial, position.visit, virtual)
            heapq.heappush(self._timers, timer)

    def _record(self, virtual: _Virtual, taken: Step) -> None:
        participant = virtual.participant
        participant.position = taken.position
        for move in taken.moves:
            self.flows[move.source, move.outcome, move.target] += 1
            if move.target == EXIT:
                self._exit(virtual, move.at)
        sends = [effect for effect in taken.effects if isinstance(effect, Send)]
        if sends:
            self.reminded += not virtual.sent
            virtual.sent = True
            self.sent += len(sends)
            self._sends.extend((participant, send) for send in sends)
        for effect in taken.effects:
            if isinstance(effect, Converted) and effect.goal not in virtual.reached:
                virtual.reached.add(effect.goal)
                self.goals[effect.goal] += 1
            elif isinstance(effect, Withdrawn):
                self._withdrawn.append((participant.id, effect.at))

    def _exit(self, virtual: _Virtual, at: int) -> None:
        participant = virtual.participant
        live = self._live[participant.profile_id]
        live.remove(virtual)
        if not live:
            del self._live[participant.profile_id]
        entry = self._entries[participant.profile_id, participant.ledger_key]
        entry.active, entry.exited_at = False, at


def happenings(
    columns: Sequence[Sequence[object]], decode: Callable[[object], dict[str, object]]
) -> list[Happening]:
    """Rows of an event scan: profile_id, event, message_id, occurred_at_ms, properties, context."""
    ids: dict[object, UUID] = {}
    found = []
    for profile_id, event, message_id, at, properties, context in zip(*columns, strict=True):
        if profile_id not in ids:
            ids[profile_id] = UUID(str(profile_id))
        found.append(
            Happening(
                ids[profile_id],
                str(event),
                str(message_id),
                int(at),
                decode(properties),
                decode(context),
            )
        )
    return found
