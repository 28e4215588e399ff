"""The pure step: where a participant goes next and what that causes. No clock, no I/O.

Logical time: steps take no time, a delay ends at its due time however late somebody looks. So a
live run and a replay of the same events walk the same way.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from services.orchestrator.journeys import nodes, timing
from services.orchestrator.journeys.compiled import Compiled, Happening, Listener, look_up
from services.orchestrator.journeys.effects import (
    Called,
    Converted,
    Effect,
    Emitted,
    ListChanged,
    Send,
    TaskAsked,
    TraitsSet,
)
from services.orchestrator.journeys.shapes import YEAR_SECONDS
from services.orchestrator.journeys.split import arm_of
from services.orchestrator.journeys.timing import Person

ENTRY = "@entry"
EXIT = "@exit"
REFUSED = "@refused"
"""Where those go in the counts who were not let in."""
NO_BRANCH = -1


@dataclass(slots=True, frozen=True)
class Position:
    """Where a participant is. Times in ms since the epoch.

    `due`: the node is to be run. `waiting`: parked at it until `due_at` or what it waits for.
    `visit` counts arrivals, so (participant, node, visit) never repeats. `best`: the best branch of
    a ranked wait that came true so far.
    """

    state: Literal["due", "waiting", "exited"]
    node: str
    visit: int
    arrived_at: int
    due_at: int
    best: int = NO_BRANCH


@dataclass(slots=True, frozen=True)
class Moved:
    """One transition; `outcome` says why: entered, case_0, timeout, elapsed, queued …"""

    source: str
    outcome: str
    target: str
    at: int
    visit: int


@dataclass(slots=True)
class Step:
    position: Position
    moves: list[Moved] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    """Message ids of the missed events that passed a wait: each event does so once."""


@dataclass(slots=True, frozen=True)
class Way:
    """What never changes of one person's way through a journey."""

    profile_id: UUID
    journey_id: UUID
    rotation: int
    entered_at: int
    trigger: Happening | None
    """The entry event; None for those who did not come in by one."""


Truths = Mapping[UUID, bool]
"""What is true of one person, by id of a rule."""


@dataclass(slots=True, frozen=True)
class Known:
    """What steps need to know of a person."""

    rules: Truths = field(default_factory=dict)
    person: Person = field(default_factory=Person)


def enter(compiled: Compiled, at: int) -> Step:
    """The step into the journey."""
    first = compiled.graph.entry.next
    position = Position("due", first, 1, at, at)
    return Step(position, [Moved(ENTRY, "entered", first, at, 1)])


def leave(position: Position, reason: str, at: int) -> Step:
    """Out of the journey from wherever the participant is."""
    exited = replace(position, state="exited", due_at=at)
    return Step(exited, [Moved(position.node, reason, EXIT, at, position.visit)])


def take(
    compiled: Compiled,
    position: Position,
    way: Way,
    known: Known | None,
    now: int,
    *,
    known_until: int | None = None,
    missed: Sequence[Happening] = (),
) -> Step:
    """As far as the participant gets until `now`: parked, out, or before a node that needs facts.

    With `known` None nothing is known of the person: the way ends before the first node that asks.
    A wait times out only up to `known_until` (default `now`): later events may not be known yet.
    `missed` are events of the person, oldest first, that may have come before their wait was
    reached; they count as if they came now.
    """
    step = Step(position)
    known_until = now if known_until is None else min(now, known_until)
    if known is not None and compiled.ends_by_rule and position.state != "exited":
        _end_by_rule(step, compiled, known.rules, now)
    while step.position.state != "exited":
        node = compiled.nodes[step.position.node]
        if step.position.state == "waiting":
            woken = _first(compiled, step.position, way, missed)
            if woken is not None:
                event, after = woken
                missed = [each for each in missed if each is not event]
                _join(step, after)
                step.consumed.append(event.message_id)
                continue
            if step.position.due_at > (known_until if isinstance(node, nodes.Wait) else now):
                break
            outcome, target = _timer(node, step.position.best)
            _then(step, outcome, target, at=step.position.due_at)
            continue
        if known is None and asks(compiled, node):
            break
        _run(step, node, compiled, way, known or Known())
    return step


def asks(compiled: Compiled, node: nodes.Node) -> bool:
    """Whether a node can only be run with facts of the person."""
    match node:
        case nodes.Delay() | nodes.TimeWindow():
            return timing.asks_person(node)
        case nodes.Wait():
            return any(branch.rule is not None for branch in node.branches)
        case nodes.Split() | nodes.Task() | nodes.GoalReached() | nodes.ListChange() | nodes.Exit():
            return False
        case _:
            return True


def deliver(compiled: Compiled, position: Position, way: Way, event: Happening) -> Step | None:
    """The step an event causes: None when it is nothing to the participant here and now.

    What ends the journey goes before what passes a wait, and acts wherever the participant is.
    """
    if position.state == "exited":
        return None
    step = Step(position)
    if event.at >= way.entered_at and event.event in compiled.ending:
        _end_by_event(step, compiled, way, event)
    if step.position.state == "waiting" and event.event in compiled.awaited:
        _pass_wait(step, compiled, way, event)
    return step if step.moves or step.effects or step.position is not position else None


def hold(compiled: Compiled, position: Position, rule_id: UUID, at: int) -> Step | None:
    """The step that a rule's coming true causes, as ``deliver``."""
    if position.state == "exited":
        return None
    step = Step(position)
    _end_by_rule(step, compiled, {rule_id: True}, at)
    if step.position.state == "waiting" and at <= position.due_at:
        for number, listener in enumerate(compiled.waits.get(position.node, ())):
            if listener.rule_id == rule_id:
                _reach(step, compiled, number, max(at, position.arrived_at))
                break
    return step if step.moves or step.effects or step.position is not position else None


def answer(
    compiled: Compiled, position: Position, node_id: str, visit: int, outcome: str, at: int
) -> Step | None:
    """The step that an answer causes: of a webhook `answered` or `failed`, or a task's outcome.

    None when the participant does not wait for it, or no longer does.
    """
    if position.state != "waiting" or (position.node, position.visit) != (node_id, visit):
        return None
    match compiled.nodes[node_id]:
        case nodes.Webhook() as node:
            target = _failed(node) if outcome == "failed" else node.next
        case nodes.Task() as node:
            ways = {each.id: each.next for each in node.outcomes}
            if outcome not in ways:
                return None
            target = ways[outcome]
        case _:
            return None
    step = Step(position)
    _then(step, outcome, target, at=at)
    return step


def may_await(compiled: Compiled, position: Position, way: Way, event: Happening) -> bool:
    """Whether the event could pass a wait this participant has not reached yet."""
    reached = position.due_at if position.state == "waiting" else position.arrived_at
    if position.state == "exited" or event.event not in compiled.awaited or event.at < reached:
        return False
    groups = (*compiled.waits.values(), *compiled.resets.values())
    return any(_hearing(group, way, event) is not None for group in groups)


def _first(
    compiled: Compiled, position: Position, way: Way, events: Sequence[Happening]
) -> tuple[Happening, Step] | None:
    if not events or position.node not in compiled.waits:
        return None
    for event in events:
        step = Step(position)
        _pass_wait(step, compiled, way, event)
        if step.position is not position:
            return event, step
    return None


def _pass_wait(step: Step, compiled: Compiled, way: Way, event: Happening) -> None:
    position = step.position
    if not position.arrived_at <= event.at <= position.due_at:
        return
    number = _hearing(compiled.waits.get(position.node, ()), way, event)
    if number is not None:
        _reach(step, compiled, number, event.at)
    elif _hearing(compiled.resets.get(position.node, ()), way, event) is not None:
        node = compiled.nodes[position.node]
        assert isinstance(node, nodes.Wait)
        due_at = event.at + 1000 * node.timeout_seconds
        longest = position.arrived_at + 1000 * YEAR_SECONDS
        step.position = replace(position, due_at=max(position.due_at, min(due_at, longest)))


def _hearing(listeners: Iterable[Listener], way: Way, event: Happening) -> int | None:
    """The place of the first that hears the event."""
    for number, listener in enumerate(listeners):
        if listener.hears(way.trigger, event):
            return number
    return None


def _reach(step: Step, compiled: Compiled, number: int, at: int) -> None:
    """A branch of the wait came true."""
    position = step.position
    node = compiled.nodes[position.node]
    assert isinstance(node, nodes.Wait)
    if not node.ranked or number == 0:
        _then(step, f"case_{number}", node.branches[number].next, at=at)
    elif position.best == NO_BRANCH or number < position.best:
        step.position = replace(position, best=number)


def _end_by_event(step: Step, compiled: Compiled, way: Way, event: Happening) -> None:
    # An event that came late ends it where the participant is by now, not before.
    arrived_at = step.position.arrived_at
    for goal, listener in zip(compiled.graph.goals, compiled.goals, strict=True):
        if listener.hears(way.trigger, event):
            value = None if goal.value is None else number_at(event, goal.value)
            step.effects.append(Converted(goal.id, event.at, value))
            if goal.exits:
                _join(step, leave(step.position, goal.id, max(event.at, arrived_at)))
                return
    for rule, listener in zip(compiled.graph.exit_rules, compiled.exit_rules, strict=True):
        if listener.hears(way.trigger, event):
            _join(step, leave(step.position, rule.reason, max(event.at, arrived_at)))
            return


def _end_by_rule(step: Step, compiled: Compiled, truths: Truths, at: int) -> None:
    for goal, listener in zip(compiled.graph.goals, compiled.goals, strict=True):
        if listener.rule_id is not None and truths.get(listener.rule_id, False):
            step.effects.append(Converted(goal.id, at))
            if goal.exits:
                _join(step, leave(step.position, goal.id, at))
                return
    for rule, listener in zip(compiled.graph.exit_rules, compiled.exit_rules, strict=True):
        if listener.rule_id is not None and truths.get(listener.rule_id, False):
            _join(step, leave(step.position, rule.reason, at))
            return


def number_at(event: Happening, path: str) -> float | None:
    """The number at a path of the event's properties."""
    value = look_up(event.properties, path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _run(step: Step, node: nodes.Node, compiled: Compiled, way: Way, known: Known) -> None:
    """Runs the node of a due participant."""
    position = step.position
    at = position.arrived_at
    match node:
        case nodes.Delay() | nodes.TimeWindow() | nodes.Task() | nodes.Wait():
            _arrive(step, node, compiled, known)
        case nodes.Branch():
            outcome, target = _case(node, compiled, known)
            _then(step, outcome, target, at=at)
        case nodes.Split():
            salt = f"{way.journey_id}/{node.id}"
            salt = f"{salt}/{way.rotation}" if node.each_time else salt
            arm = arm_of(node.arms, salt, way.profile_id)
            _then(step, f"arm_{arm.id}", arm.next, at=at)
        case nodes.Exit():
            _join(step, leave(position, node.reason, at))
        case nodes.Webhook() if node.awaits:
            step.effects.append(_effect(node, position))
            _park(step, at + 1000 * node.timeout_seconds)
        case _:
            effect = _effect(node, position)
            step.effects.append(effect)
            # What becomes of it is known later, and skipped is not sent.
            _then(step, "queued" if isinstance(effect, Send) else "done", node.next, at=at)


def _case(node: nodes.Branch, compiled: Compiled, known: Known) -> tuple[str, str]:
    for index, case in enumerate(node.branches):
        if known.rules.get(compiled.rule_ids[node.id, index], False):
            return f"case_{index}", case.next
    return "otherwise", node.otherwise


Acting = (
    nodes.Message
    | nodes.Webhook
    | nodes.UpdateProfile
    | nodes.ListChange
    | nodes.Emit
    | nodes.CallJourney
    | nodes.GoalReached
)


def _effect(node: Acting, position: Position) -> Effect:
    visit, at = position.visit, position.arrived_at
    match node:
        case nodes.Message():
            return Send(node.id, visit, at, node.channel_id, node.template_id, None)
        case nodes.Webhook():
            return Send(node.id, visit, at, node.channel_id, None, node.payload)
        case nodes.UpdateProfile():
            return TraitsSet(node.id, visit, at, node.traits)
        case nodes.ListChange():
            return ListChanged(node.id, visit, at, node.segment_id, node.action)
        case nodes.Emit():
            return Emitted(node.id, visit, at, node.event, node.properties)
        case nodes.CallJourney():
            return Called(node.id, visit, at, node.journey_id, node.properties)
        case nodes.GoalReached():
            return Converted(node.goal, at)


def _arrive(
    step: Step,
    node: nodes.Delay | nodes.TimeWindow | nodes.Task | nodes.Wait,
    compiled: Compiled,
    known: Known,
) -> None:
    """Rests at the node, or passes at once what would not hold anybody."""
    position = step.position
    at = position.arrived_at
    due_at = timing.due_at(node, at, known.person)
    if isinstance(node, nodes.Delay | nodes.TimeWindow) and (due_at is None or due_at <= at):
        passed = "open" if isinstance(node, nodes.TimeWindow) else "past"
        _then(step, "no_time" if due_at is None else passed, node.next, at=at)
        return
    assert due_at is not None
    _park(step, due_at)
    if isinstance(node, nodes.Task):
        asked = TaskAsked(node.id, position.visit, at, due_at, node.title, node.department)
        step.effects.append(asked)
    if isinstance(node, nodes.Wait):
        for number, listener in enumerate(compiled.waits[node.id]):
            if listener.rule_id is not None and known.rules.get(listener.rule_id, False):
                _reach(step, compiled, number, at)
                return


def _timer(node: nodes.Node, best: int) -> tuple[str, str]:
    """Outcome and target when the time of a node is up."""
    match node:
        case nodes.Wait():
            if best != NO_BRANCH:
                return f"case_{best}", node.branches[best].next
            return "timeout", node.on_timeout
        case nodes.Task():
            return "timeout", node.on_timeout
        case nodes.Webhook():
            return "timeout", _failed(node)
        case nodes.TimeWindow():
            return "opened", node.next
        case nodes.Delay():
            return "elapsed", node.next
        case _:
            raise AssertionError(f"nobody rests at a node of type {node.type}")


def _failed(node: nodes.Webhook) -> str:
    return node.next if node.on_failure is None else node.on_failure


def _park(step: Step, due_at: int) -> None:
    step.position = replace(step.position, state="waiting", due_at=due_at)


def _then(step: Step, outcome: str, target: str, *, at: int) -> None:
    position = step.position
    step.moves.append(Moved(position.node, outcome, target, at, position.visit))
    step.position = Position("due", target, position.visit + 1, at, at)


def _join(step: Step, after: Step) -> None:
    step.position = after.position
    step.moves += after.moves
    step.effects += after.effects
