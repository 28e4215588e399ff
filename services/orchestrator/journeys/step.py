"""The pure step: where a participant goes next and what that causes. No clock, no I/O.

Logical time: steps take no time, a delay ends at its due time however late somebody looks. So a
live run and a replay of the same events walk the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.orchestrator.experiments.choice import Trial
from services.orchestrator.journeys import nodes, timing
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.effects import (
    Called,
    Converted,
    Effect,
    Emitted,
    Exposed,
    ListChanged,
    Send,
    TaskAsked,
    TraitsSet,
)
from services.orchestrator.journeys.listen import Truths, end_by_rule, failed_target, first, reach
from services.orchestrator.journeys.position import (
    ENTRY,
    NO_BRANCH,
    Moved,
    Position,
    Step,
    Way,
    join,
    leave,
    park,
    then,
)
from services.orchestrator.journeys.split import arm_of
from services.orchestrator.journeys.timing import Person


@dataclass(slots=True, frozen=True)
class Known:
    """What steps need to know of a person."""

    rules: Truths = field(default_factory=dict)
    person: Person = field(default_factory=Person)
    trials: Mapping[UUID, Trial] = field(default_factory=dict)
    """The experiments that the journey's nodes name, by id."""
    exposed: Mapping[UUID, str] = field(default_factory=dict)
    """The variants the person was shown before, by experiment."""


def enter(compiled: Compiled, at: int) -> Step:
    """The step into the journey."""
    first = compiled.graph.entry.next
    position = Position("due", first, 1, at, at)
    return Step(position, [Moved(ENTRY, "entered", first, at, 1)])


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
        end_by_rule(step, compiled, known.rules, now)
    while step.position.state != "exited":
        node = compiled.nodes[step.position.node]
        if step.position.state == "waiting":
            woken = first(compiled, step.position, way, missed)
            if woken is not None:
                event, after = woken
                missed = [each for each in missed if each is not event]
                join(step, after)
                step.consumed.append(event.message_id)
                continue
            if step.position.due_at > (known_until if isinstance(node, nodes.Wait) else now):
                break
            outcome, target = _timer(node, step.position.best)
            then(step, outcome, target, at=step.position.due_at)
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


def _run(step: Step, node: nodes.Node, compiled: Compiled, way: Way, known: Known) -> None:
    """Runs the node of a due participant."""
    position = step.position
    at = position.arrived_at
    match node:
        case nodes.Delay() | nodes.TimeWindow() | nodes.Task() | nodes.Wait():
            _arrive(step, node, compiled, known)
        case nodes.Branch():
            outcome, target = _case(node, compiled, known)
            then(step, outcome, target, at=at)
        case nodes.Split():
            salt = f"{way.journey_id}/{node.id}"
            salt = f"{salt}/{way.rotation}" if node.each_time else salt
            arm = arm_of(node.arms, salt, way.profile_id)
            then(step, f"arm_{arm.id}", arm.next, at=at)
        case nodes.Experiment():
            _divide(step, node, way, known)
        case nodes.Exit():
            join(step, leave(position, node.reason, at))
        case nodes.Webhook() if node.awaits:
            step.effects.append(_effect(node, position))
            park(step, at + 1000 * node.timeout_seconds)
        case _:
            effect = _effect(node, position)
            step.effects.append(effect)
            # What becomes of it is known later, and skipped is not sent.
            then(step, "queued" if isinstance(effect, Send) else "done", node.next, at=at)


def _divide(step: Step, node: nodes.Experiment, way: Way, known: Known) -> None:
    at, exposed = step.position.arrived_at, known.exposed.get(node.experiment_id)
    choice = known.trials[node.experiment_id].choose(way.profile_id, exposed)
    if choice.counts:
        shown = choice.variant, choice.probability, choice.chooser
        step.effects.append(Exposed(node.id, at, node.experiment_id, *shown))
    ways = {each.id: each.next for each in node.variants}
    then(step, f"variant_{choice.variant}", ways[choice.variant], at=at)


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
            return Send(
                node.id,
                visit,
                at,
                node.channel_id,
                node.template_id,
                None,
                tags=tuple(node.tags),
                expires_after_seconds=node.expires_after_seconds,
            )
        case nodes.Webhook():
            capture = node.capture if node.awaits else None
            return Send(node.id, visit, at, node.channel_id, None, node.payload, capture)
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
        then(step, "no_time" if due_at is None else passed, node.next, at=at)
        return
    assert due_at is not None
    park(step, due_at)
    if isinstance(node, nodes.Task):
        asked = TaskAsked(node.id, position.visit, at, due_at, node.title, node.department)
        step.effects.append(asked)
    if isinstance(node, nodes.Wait):
        for number, listener in enumerate(compiled.waits[node.id]):
            if listener.rule_id is not None and known.rules.get(listener.rule_id, False):
                reach(step, compiled, number, at)
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
            return "timeout", failed_target(node)
        case nodes.TimeWindow():
            return "opened", node.next
        case nodes.Delay():
            return "elapsed", node.next
        case _:
            raise AssertionError(f"nobody rests at a node of type {node.type}")
