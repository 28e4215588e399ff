"""A graph made ready to run: look-ups and filters prepared once per version. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

import msgspec

from services.contracts.rules import Group
from services.orchestrator.journeys.graph import (
    Branch,
    EventEntry,
    Graph,
    Node,
    SegmentEntry,
    WaitEvent,
)
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


@dataclass(frozen=True)
class Compiled:
    """One version of a journey. Look-ups are by node id."""

    version_id: UUID
    graph: Graph
    nodes: Mapping[str, Node]
    entry_filter: EventFilter
    unless_filter: EventFilter
    wait_filters: Mapping[str, EventFilter]
    awaited: frozenset[str]
    """Names of the events that some wait of this journey waits for."""
    rule_ids: Mapping[tuple[str, int], UUID]
    """Ids under which the rules of branches are registered, by (node, place among its cases)."""

    @property
    def event_entry(self) -> EventEntry | None:
        return self.graph.entry if isinstance(self.graph.entry, EventEntry) else None

    @property
    def segment_entry(self) -> SegmentEntry | None:
        return self.graph.entry if isinstance(self.graph.entry, SegmentEntry) else None

    @property
    def event_names(self) -> set[str]:
        """Every event that entry or waits look at."""
        names = set(self.awaited)
        entry = self.event_entry
        if entry is not None:
            names.add(entry.event)
            names.update(part.event for part in (entry.anchor, entry.unless) if part is not None)
        return names


def compile_graph(version_id: UUID, graph: Graph) -> Compiled:
    """Expects a graph without findings."""
    entry = graph.entry
    where = entry.where if isinstance(entry, EventEntry) else None
    unless = entry.unless if isinstance(entry, EventEntry) else None
    waits = [node for node in graph.nodes if isinstance(node, WaitEvent)]
    return Compiled(
        version_id=version_id,
        graph=graph,
        nodes={node.id: node for node in graph.nodes},
        entry_filter=compile_filter(where),
        unless_filter=compile_filter(unless.where if unless else None),
        wait_filters={node.id: compile_filter(node.where) for node in waits},
        awaited=frozenset(node.event for node in waits),
        rule_ids={key: rule_id(version_id, *key) for key in branch_rules(graph)},
    )


def branch_rules(graph: Graph) -> dict[tuple[str, int], Group]:
    """The rules of all branches by (node, place among its cases)."""
    return {
        (node.id, index): case.rule
        for node in graph.nodes
        if isinstance(node, Branch)
        for index, case in enumerate(node.branches)
    }


def rule_id(version_id: UUID, node: str, index: int) -> UUID:
    """The id a branch's rule has at profile: the same however often a version is registered."""
    return uuid5(version_id, f"{node}/{index}")


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
