"""How people inside a journey come from one version into the next. Pure; times in ms.

Semantics ED-1 to ED-6: what lies behind a person never runs again, a node that is gone hands its
people to the next one that is left, and who has none left leaves without that being an error.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from services.orchestrator.journeys import nodes, timing
from services.orchestrator.journeys.compiled import Compiled
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.listen import reach
from services.orchestrator.journeys.position import NO_BRANCH, Position, Step, leave
from services.orchestrator.journeys.step import Known
from services.orchestrator.journeys.timing import Person

CHANGED = "journey_changed"
"""The reason of who leaves because nothing is left of the way ahead."""
STOPPED = "version_stopped"

Redirects = Mapping[str, str | None]
"""Node of the older version → node of the newer one; None: out."""


@dataclass(frozen=True, slots=True)
class Move:
    """What publishing decided for those inside an older version."""

    in_flight: Literal["migrate", "stop"]
    redirects: Redirects
    shortened: Literal["keep", "apply"]
    """Whether a time that became shorter holds for those who wait already."""


def redirects(old: Graph, new: Graph, wished: Redirects) -> dict[str, str | None]:
    """Where each node of the older graph sends its people: as wished, else to itself, else to the
    next node that is left on the way people go on when nothing happens."""
    before = {node.id: node for node in old.nodes}
    left = {node.id for node in new.nodes}
    found: dict[str, str | None] = {}
    for start in before:
        place: str | None = start
        seen: set[str] = set()
        while place is not None and place not in wished and place not in left:
            seen.add(place)
            place = _quiet_exit(before[place])
            place = None if place in seen else place
        found[start] = wished.get(place, place) if place is not None else None
    return found


def _quiet_exit(node: nodes.Node) -> str | None:
    match node:
        case nodes.Wait() | nodes.Task():
            return node.on_timeout
        case nodes.Branch():
            return node.otherwise
        case nodes.Split() | nodes.Experiment() | nodes.Exit():
            return None
        case _:
            return node.next


def move(old: Compiled, new: Compiled, plan: Move, position: Position, now: int) -> Position | Step:
    """Where the participant is in the newer version, or the step out of the older one.

    With the same visit it kept its place; with a new one it was sent to another node.
    """
    if plan.in_flight == "stop":
        return leave(position, STOPPED, now)
    target = plan.redirects.get(position.node)
    if target is None:
        return leave(position, CHANGED, now)
    before, after = old.nodes[position.node], new.nodes[target]
    if target != position.node or before.type != after.type:
        return Position("due", target, position.visit + 1, now, now)
    if position.state == "due" or before == after:
        return position
    kept = _retimed(before, after, plan, position, now)
    if isinstance(before, nodes.Wait) and isinstance(after, nodes.Wait):
        best = before.branches[kept.best] if kept.best != NO_BRANCH else None
        number = after.branches.index(best) if best in after.branches else NO_BRANCH
        kept = replace(kept, best=number)
    return kept


def listen_anew(
    old: Compiled, new: Compiled, position: Position, known: Known, now: int
) -> Step | None:
    """At a wait whose branches were edited, the step that a rule causes which holds already."""
    before, after = old.nodes.get(position.node), new.nodes[position.node]
    if not isinstance(before, nodes.Wait) or not isinstance(after, nodes.Wait):
        return None
    if position.state != "waiting" or before.branches == after.branches:
        return None
    step = Step(position)
    for number, listener in enumerate(new.waits[after.id]):
        if listener.rule_id is not None and known.rules.get(listener.rule_id, False):
            reach(step, new, number, now)
            return step
    return None


def is_retimed(before: nodes.Node, after: nodes.Node) -> bool:
    """Whether the node holds people for another time than it did."""
    return before.type == after.type and _times(before) != _times(after)


def _times(node: nodes.Node) -> dict[str, Any]:
    names = ("seconds", "until", "local_time", "trait_time", "start", "end", "weekdays")
    return {name: getattr(node, name, None) for name in (*names, "timeout_seconds")}


def _retimed(
    before: nodes.Node, after: nodes.Node, plan: Move, position: Position, now: int
) -> Position:
    if not is_retimed(before, after):
        return position
    assert isinstance(after, timing.Timed)
    if timing.asks_person(after):
        # As if they came only now: the step, which knows the person, finds the time.
        return replace(position, state="due", arrived_at=now, due_at=now)
    due_at = timing.due_at(after, position.arrived_at, Person())
    assert due_at is not None
    if isinstance(before, nodes.Wait) and isinstance(after, nodes.Wait):
        # Events may have started the time anew.
        due_at = position.due_at + 1000 * (after.timeout_seconds - before.timeout_seconds)
    if due_at < position.due_at:
        due_at = position.due_at if plan.shortened == "keep" else max(due_at, now)
    return replace(position, due_at=due_at)


@dataclass(frozen=True, slots=True)
class Edit:
    """One difference between two graphs; ``place`` is a node's id or a member of the graph."""

    place: str
    change: Literal["added", "removed", "changed"]
    fields: list[str]


def edits(old: Graph, new: Graph) -> Iterator[Edit]:
    """What was edited, nodes in the order of the newer graph."""
    before = {node.id: node for node in old.nodes}
    after = {node.id: node for node in new.nodes}
    for name in Graph.model_fields:
        if name != "nodes" and getattr(old, name) != getattr(new, name):
            yield Edit(name, "changed", [])
    for id, node in after.items():
        if id not in before:
            yield Edit(id, "added", [])
        elif before[id] != node:
            yield Edit(id, "changed", _fields(before[id], node))
    for id in before:
        if id not in after:
            yield Edit(id, "removed", [])


def _fields(before: nodes.Node, after: nodes.Node) -> list[str]:
    if before.type != after.type:
        return ["type"]
    return [
        name
        for name in type(after).model_fields
        if getattr(before, name, None) != getattr(after, name)
    ]
