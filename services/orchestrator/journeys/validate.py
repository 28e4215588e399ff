"""What is wrong with a graph, each finding with a JSON pointer into it. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from services.orchestrator.journeys.compiled import rules_of
from services.orchestrator.journeys.entries import (
    ANCHOR_KEY,
    ApiEntry,
    EventEntry,
    ScheduleEntry,
)
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.nodes import (
    Delay,
    Experiment,
    GoalReached,
    Message,
    Node,
    Split,
    Task,
    Wait,
    Webhook,
    exits_of,
    fits,
)
from services.orchestrator.journeys.shapes import Condition, EventMatch
from services.orchestrator.schedules.recurrence import next_occurrence
from services.rules import RuleInvalid, compile_filter, normalise

LONG_AGO = 0


@dataclass(frozen=True, slots=True)
class Finding:
    pointer: str
    detail: str


def findings(graph: Graph) -> list[Finding]:
    """What can be said from the graph alone; empty when it may be published."""
    found = [*_entry(graph), *_references(graph), *_rules(graph), *_matches(graph)]
    found += _goals(graph)
    return found or [*_unreachable(graph), *_loops(graph)]


def missing(
    graph: Graph,
    channel_types: Mapping[UUID, str],
    template_ids: set[UUID],
    variants: Mapping[UUID, Collection[str]],
) -> list[Finding]:
    """References to channels, templates and experiments (their variants by id) that do not exist
    or do not fit."""
    found = []
    for index, node in enumerate(graph.nodes):
        at = f"#/graph/nodes/{index}"
        if isinstance(node, Message | Webhook):
            kind = channel_types.get(node.channel_id)
            if kind is None:
                found.append(Finding(f"{at}/channel_id", "There is no such channel."))
            elif not fits(node, kind):
                wanted = "of type webhook" if isinstance(node, Webhook) else "that is no webhook"
                found.append(Finding(f"{at}/channel_id", f"This node needs a channel {wanted}."))
        if isinstance(node, Message) and node.template_id not in template_ids:
            found.append(Finding(f"{at}/template_id", "There is no such message template."))
        if isinstance(node, Experiment):
            found += _experiment(node, at, variants.get(node.experiment_id))
    return found


def _experiment(node: Experiment, at: str, wanted: Collection[str] | None) -> Iterator[Finding]:
    if wanted is None:
        yield Finding(f"{at}/experiment_id", "There is no such experiment.")
    elif sorted(way.id for way in node.variants) != sorted(wanted):
        names = ", ".join(wanted)
        yield Finding(f"{at}/variants", f"Give each variant of the experiment once: {names}.")


def _entry(graph: Graph) -> Iterator[Finding]:
    entry = graph.entry
    if entry.next not in {node.id for node in graph.nodes}:
        yield Finding("#/graph/entry/next", f"There is no node {entry.next!r}.")
    if entry.entry_mode == "concurrent_by_key":
        if not isinstance(entry, EventEntry | ApiEntry):
            detail = "This entry gives no instance key to tell apart by."
            yield Finding("#/graph/entry/entry_mode", detail)
        elif not entry.instance_key:
            yield Finding("#/graph/entry/instance_key", "concurrent_by_key needs an instance key.")
    if isinstance(entry, EventEntry):
        yield from _anchor(entry)
    if isinstance(entry, ScheduleEntry) and next_occurrence(entry, LONG_AGO) is None:
        yield Finding(
            "#/graph/entry/recurrence", "This rule gives no time within five years of its start."
        )


def _anchor(entry: EventEntry) -> Iterator[Finding]:
    if ANCHOR_KEY in entry.instance_key and entry.anchor is None:
        index = entry.instance_key.index(ANCHOR_KEY)
        yield Finding(
            f"#/graph/entry/instance_key/{index}", f"{ANCHOR_KEY} needs an `anchor` in the entry."
        )
    if entry.unless is not None:
        if entry.anchor is None:
            yield Finding("#/graph/entry/unless", "`unless` counts from an `anchor`; add one.")
        elif sorted(entry.unless.match) != sorted(entry.anchor.match):
            yield Finding(
                "#/graph/entry/unless/match", "Name the same properties as the anchor's `match`."
            )


def _references(graph: Graph) -> Iterator[Finding]:
    ids: set[str] = set()
    for index, node in enumerate(graph.nodes):
        if node.id in ids:
            yield Finding(f"#/graph/nodes/{index}/id", f"Another node has the id {node.id!r}.")
        ids.add(node.id)
    for index, node in enumerate(graph.nodes):
        for place, target in exits_of(node):
            if target not in ids:
                yield Finding(f"#/graph/nodes/{index}/{place}", f"There is no node {target!r}.")


def _rules(graph: Graph) -> Iterator[Finding]:
    entry = graph.entry
    if isinstance(entry, EventEntry):
        yield from _where(entry.where, "#/graph/entry/where")
        if entry.unless is not None:
            yield from _where(entry.unless.where, "#/graph/entry/unless/where")
    for pointer, condition in _conditions(graph):
        yield from _where(condition.where, f"{pointer}/where")
    for placed in rules_of(graph):
        try:
            normalise(placed.rule)
        except RuleInvalid as error:
            yield Finding(placed.pointer + error.pointer, error.detail)


def _conditions(graph: Graph) -> Iterator[tuple[str, Condition | EventMatch]]:
    """Whatever looks for events, with its place."""
    for index, node in enumerate(graph.nodes):
        if isinstance(node, Wait):
            at = f"#/graph/nodes/{index}"
            for number, branch in enumerate(node.branches):
                yield f"{at}/branches/{number}", branch
            for number, reset in enumerate(node.reset_on):
                yield f"{at}/reset_on/{number}", reset
    for number, goal in enumerate(graph.goals):
        yield f"#/graph/goals/{number}", goal
    for number, rule in enumerate(graph.exit_rules):
        yield f"#/graph/exit_rules/{number}", rule


def _where(where: object, pointer: str) -> Iterator[Finding]:
    try:
        compile_filter(where)  # type: ignore[arg-type]
    except RuleInvalid as error:
        yield Finding(pointer + error.pointer, error.detail)


def _matches(graph: Graph) -> Iterator[Finding]:
    if isinstance(graph.entry, EventEntry | ApiEntry):
        return
    for pointer, condition in _conditions(graph):
        if condition.match:
            yield Finding(f"{pointer}/match", "This entry has no event to match with.")


def _goals(graph: Graph) -> Iterator[Finding]:
    known: set[str] = set()
    for number, goal in enumerate(graph.goals):
        if goal.id in known:
            yield Finding(f"#/graph/goals/{number}/id", f"Another goal has the id {goal.id!r}.")
        known.add(goal.id)
    for index, node in enumerate(graph.nodes):
        if isinstance(node, GoalReached) and node.goal not in known:
            yield Finding(
                f"#/graph/nodes/{index}/goal", f"The journey has no goal {node.goal!r} in `goals`."
            )
        if isinstance(node, Task) and len({each.id for each in node.outcomes}) < len(node.outcomes):
            yield Finding(f"#/graph/nodes/{index}/outcomes", "Two outcomes have the same id.")
        if isinstance(node, Split) and len({arm.id for arm in node.arms}) < len(node.arms):
            yield Finding(f"#/graph/nodes/{index}/arms", "Two arms have the same id.")


def _unreachable(graph: Graph) -> Iterator[Finding]:
    nodes = {node.id: node for node in graph.nodes}
    seen: set[str] = set()
    stack = [graph.entry.next]
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            stack.extend(target for _, target in exits_of(nodes[current]))
    for index, node in enumerate(graph.nodes):
        if node.id not in seen:
            yield Finding(f"#/graph/nodes/{index}", f"Nothing leads to the node {node.id!r}.")


def _loops(graph: Graph) -> Iterator[Finding]:
    """Cycles in which no time passes: a person would go round for ever at once."""
    nodes = {node.id: node for node in graph.nodes}
    places = {node.id: index for index, node in enumerate(graph.nodes)}
    done: set[str] = set()
    for start in nodes:
        path: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            current, leaving = stack.pop()
            if leaving:
                path.pop()
                done.add(current)
                continue
            if current in path:
                yield Finding(
                    f"#/graph/nodes/{places[path[-1]]}",
                    f"This closes a loop through {current!r} in which no time passes; add a delay.",
                )
                return
            if current in done:
                continue
            path.append(current)
            stack.append((current, True))
            stack.extend((target, False) for target in _instant_exits(nodes[current]))


def _instant_exits(node: Node) -> list[str]:
    """Where the node may lead without any time passing.

    An event passes a wait once only, so no endless loop there; a rule that goes on to hold passes
    it each time. Delays may be over already when they are reached, unless they last for a time.
    """
    match node:
        case Delay(seconds=int()) | Task():
            return []
        case Webhook() if node.awaits:
            return []
        case Wait():
            return [branch.next for branch in node.branches if branch.rule is not None]
        case _:
            return [target for _, target in exits_of(node)]
