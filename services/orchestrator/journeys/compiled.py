"""A graph made ready to run: look-ups and filters prepared once per version. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import msgspec

from services.contracts.rules import Group
from services.orchestrator.journeys.entries import EventEntry
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.nodes import Branch, Experiment, Node, Wait
from services.orchestrator.journeys.shapes import Condition, EventMatch
from services.rules import compile_filter
from services.rules.filters import EventFilter


@dataclass(slots=True, frozen=True)
class Happening:
    """Something a person did, as the engine sees it. `at` is when, in ms since the epoch."""

    profile_id: UUID
    event: str
    message_id: str
    at: int
    properties: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Listener:
    """What one condition of the graph looks for: an event, or a rule by its id."""

    event: str | None
    filter: EventFilter
    match: tuple[tuple[str, str], ...]
    rule_id: UUID | None

    def hears(self, trigger: Happening | None, event: Happening) -> bool:
        """Whether the event is the one; the entry event itself never is."""
        if self.event != event.event:
            return False
        if trigger is not None and event.message_id == trigger.message_id:
            return False
        for path, trigger_path in self.match:
            wanted = comparable(look_up(trigger.properties, trigger_path)) if trigger else None
            if wanted is None or comparable(look_up(event.properties, path)) != wanted:
                return False
        return self.filter(event.properties, event.context)


@dataclass(frozen=True)
class Compiled:
    """One version of a journey. Look-ups are by node id."""

    version_id: UUID
    graph: Graph
    nodes: Mapping[str, Node]
    entry_filter: EventFilter
    unless_filter: EventFilter
    waits: Mapping[str, tuple[Listener, ...]]
    """Of the branches of each wait."""
    resets: Mapping[str, tuple[Listener, ...]]
    goals: tuple[Listener, ...]
    exit_rules: tuple[Listener, ...]
    awaited: frozenset[str]
    """Names of the events that some wait of this journey waits for."""
    ending: frozenset[str]
    """Names of the events that may end it or be its goal."""
    lasting: frozenset[str]
    """Those of them that reach a goal after people left, too."""
    rule_ids: Mapping[tuple[str, int], UUID]
    """Ids under which the rules are registered, by place (see ``rules_of``)."""
    watched: frozenset[UUID]
    """Those of them whose coming true moves people."""
    experiment_ids: frozenset[UUID]
    """Of the experiments that its nodes divide people by."""
    ends_by_rule: bool
    """Whether a rule may end it, so that it is asked at every step."""

    @property
    def event_entry(self) -> EventEntry | None:
        return self.graph.entry if isinstance(self.graph.entry, EventEntry) else None

    @property
    def event_names(self) -> set[str]:
        """Every event that entry, waits, goals or exit rules look at."""
        names = set(self.awaited | self.ending)
        entry = self.event_entry
        if entry is not None:
            names.add(entry.event)
            names.update(part.event for part in (entry.anchor, entry.unless) if part is not None)
        return names


AUDIENCE = ("@audience", 0)


@dataclass(slots=True, frozen=True)
class PlacedRule:
    """A rule of a graph. ``watched``: its becoming true moves people, so it has to be told."""

    place: tuple[str, int]
    rule: Group
    pointer: str
    watched: bool


def rules_of(graph: Graph) -> Iterator[PlacedRule]:
    """All rules of a graph; places are (node or @goal, @exit, @audience; number there)."""
    if graph.entry.audience is not None:
        yield PlacedRule(AUDIENCE, graph.entry.audience, "#/graph/entry/audience", False)
    for index, node in enumerate(graph.nodes):
        for number, rule in enumerate(_rules_at(node)):
            if rule is not None:
                pointer = f"#/graph/nodes/{index}/branches/{number}/rule"
                yield PlacedRule((node.id, number), rule, pointer, isinstance(node, Wait))
    yield from _ending("@goal", "goals", graph.goals)
    yield from _ending("@exit", "exit_rules", graph.exit_rules)


def _rules_at(node: Node) -> list[Group | None]:
    """Of each branch of the node, in their order."""
    match node:
        case Branch():
            return [case.rule for case in node.branches]
        case Wait():
            return [branch.rule for branch in node.branches]
        case _:
            return []


def _ending(place: str, name: str, conditions: Sequence[Condition]) -> Iterator[PlacedRule]:
    for number, condition in enumerate(conditions):
        if condition.rule is not None:
            pointer = f"#/graph/{name}/{number}/rule"
            yield PlacedRule((place, number), condition.rule, pointer, True)


def rule_id(version_id: UUID, place: tuple[str, int]) -> UUID:
    """The id a rule has at profile: the same however often a version is registered."""
    return uuid5(version_id, f"{place[0]}/{place[1]}")


def compile_graph(version_id: UUID, graph: Graph) -> Compiled:
    """Expects a graph without findings."""
    entry = graph.entry
    where = entry.where if isinstance(entry, EventEntry) else None
    unless = entry.unless if isinstance(entry, EventEntry) else None
    ids = {each.place: rule_id(version_id, each.place) for each in rules_of(graph)}
    nodes = [node for node in graph.nodes if isinstance(node, Wait)]
    waits = {node.id: _listeners(node.branches, node.id, ids) for node in nodes}
    resets = {node.id: _listeners(node.reset_on, "", ids) for node in nodes}
    goals = _listeners(graph.goals, "@goal", ids)
    exit_rules = _listeners(graph.exit_rules, "@exit", ids)
    exits = [*goals, *exit_rules]
    return Compiled(
        version_id=version_id,
        graph=graph,
        nodes={node.id: node for node in graph.nodes},
        entry_filter=compile_filter(where),
        unless_filter=compile_filter(unless.where if unless else None),
        waits=waits,
        resets=resets,
        goals=goals,
        exit_rules=exit_rules,
        awaited=_events(each for group in (waits, resets) for each in group.values()),
        ending=_events([exits]),
        lasting=frozenset(
            goal.event for goal in graph.goals if goal.event is not None and goal.window_seconds
        ),
        rule_ids=ids,
        watched=frozenset(ids[each.place] for each in rules_of(graph) if each.watched),
        experiment_ids=frozenset(
            node.experiment_id for node in graph.nodes if isinstance(node, Experiment)
        ),
        ends_by_rule=any(each.rule_id is not None for each in exits),
    )


def _listeners(
    conditions: Iterable[Condition | EventMatch], place: str, ids: Mapping[tuple[str, int], UUID]
) -> tuple[Listener, ...]:
    return tuple(
        Listener(
            event=each.event,
            filter=compile_filter(each.where),
            match=tuple(each.match.items()),
            rule_id=ids.get((place, number)),
        )
        for number, each in enumerate(conditions)
    )


def _events(groups: Iterable[Iterable[Listener]]) -> frozenset[str]:
    return frozenset(each.event for group in groups for each in group if each.event is not None)


def look_up(properties: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    value: Any = properties
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def comparable(value: Any) -> str | None:
    """A text that is equal for equal scalars; None for what identifies nothing."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool | int | float) or (isinstance(value, str) and value):
        return msgspec.json.encode(value).decode()
    return None


def match_key(paths: list[str], properties: Mapping[str, Any]) -> str | None:
    """The values at `paths` as one text; None when one of them is missing."""
    parts = [comparable(look_up(properties, path)) for path in sorted(paths)]
    if any(part is None for part in parts):
        return None
    return "[" + ",".join(part for part in parts if part is not None) + "]"
