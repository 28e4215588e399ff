"""What events, rules and answers do to a participant where it is. No clock, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from services.orchestrator.journeys import nodes
from services.orchestrator.journeys.compiled import Compiled, Happening, Listener, look_up
from services.orchestrator.journeys.effects import Converted, Withdrawn
from services.orchestrator.journeys.position import (
    NO_BRANCH,
    Position,
    Step,
    Way,
    join,
    leave,
    then,
)
from services.orchestrator.journeys.shapes import YEAR_SECONDS, Goal

Truths = Mapping[UUID, bool]
"""What is true of one person, by id of a rule."""


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


def convert_later(
    compiled: Compiled, way: Way, exited_at: int, event: Happening
) -> list[Converted]:
    """Goals that an event reaches for somebody who left, within their windows (semantics EX-3)."""
    return [
        Converted(goal.id, event.at, _worth(goal, event))
        for goal, listener in zip(compiled.graph.goals, compiled.goals, strict=True)
        if way.entered_at <= event.at <= exited_at + 1000 * goal.window_seconds
        and listener.hears(way.trigger, event)
    ]


def _worth(goal: Goal, event: Happening) -> float | None:
    return None if goal.value is None else number_at(event, goal.value)


def hold(compiled: Compiled, position: Position, rule_id: UUID, at: int) -> Step | None:
    """The step that a rule's coming true causes, as ``deliver``."""
    if position.state == "exited":
        return None
    step = Step(position)
    end_by_rule(step, compiled, {rule_id: True}, at)
    if step.position.state == "waiting" and at <= position.due_at:
        for number, listener in enumerate(compiled.waits.get(position.node, ())):
            if listener.rule_id == rule_id:
                reach(step, compiled, number, max(at, position.arrived_at))
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
            target = failed_target(node) if outcome == "failed" else node.next
        case nodes.Task() as node:
            ways = {each.id: each.next for each in node.outcomes}
            if outcome not in ways:
                return None
            target = ways[outcome]
        case _:
            return None
    step = Step(position)
    then(step, outcome, target, at=at)
    return step


def may_await(compiled: Compiled, position: Position, way: Way, event: Happening) -> bool:
    """Whether the event could pass a wait this participant has not reached yet."""
    reached = position.due_at if position.state == "waiting" else position.arrived_at
    if position.state == "exited" or event.event not in compiled.awaited or event.at < reached:
        return False
    groups = (*compiled.waits.values(), *compiled.resets.values())
    return any(_hearing(group, way, event) is not None for group in groups)


def first(
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
        reach(step, compiled, number, event.at)
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


def reach(step: Step, compiled: Compiled, number: int, at: int) -> None:
    """A branch of the wait came true."""
    position = step.position
    node = compiled.nodes[position.node]
    assert isinstance(node, nodes.Wait)
    if not node.ranked or number == 0:
        then(step, f"case_{number}", node.branches[number].next, at=at)
    elif position.best == NO_BRANCH or number < position.best:
        step.position = replace(position, best=number)


def _end_by_event(step: Step, compiled: Compiled, way: Way, event: Happening) -> None:
    # An event that came late ends it where the participant is by now, not before.
    arrived_at = step.position.arrived_at
    for goal, listener in zip(compiled.graph.goals, compiled.goals, strict=True):
        if listener.hears(way.trigger, event):
            step.effects.append(Converted(goal.id, event.at, _worth(goal, event)))
            if goal.exits:
                _end(step, goal.id, max(event.at, arrived_at))
                return
    for rule, listener in zip(compiled.graph.exit_rules, compiled.exit_rules, strict=True):
        if listener.hears(way.trigger, event):
            _end(step, rule.reason, max(event.at, arrived_at))
            return


def end_by_rule(step: Step, compiled: Compiled, truths: Truths, at: int) -> None:
    for goal, listener in zip(compiled.graph.goals, compiled.goals, strict=True):
        if listener.rule_id is not None and truths.get(listener.rule_id, False):
            step.effects.append(Converted(goal.id, at))
            if goal.exits:
                _end(step, goal.id, at)
                return
    for rule, listener in zip(compiled.graph.exit_rules, compiled.exit_rules, strict=True):
        if listener.rule_id is not None and truths.get(listener.rule_id, False):
            _end(step, rule.reason, at)
            return


def _end(step: Step, reason: str, at: int) -> None:
    step.effects.append(Withdrawn(at, reason))
    join(step, leave(step.position, reason, at))


def number_at(event: Happening, path: str) -> float | None:
    """The number at a path of the event's properties."""
    value = look_up(event.properties, path)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def failed_target(node: nodes.Webhook) -> str:
    return node.next if node.on_failure is None else node.on_failure
