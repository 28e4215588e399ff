"""What is wrong with a graph, each finding with a JSON pointer into it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from services.orchestrator.journeys.graph import (
    ANCHOR_KEY,
    Branch,
    Delay,
    EventEntry,
    Graph,
    Message,
    Node,
    SegmentEntry,
    WaitEvent,
    Webhook,
    exits_of,
    fits,
)
from services.rules import RuleInvalid, compile_filter, normalise


@dataclass(frozen=True, slots=True)
class Finding:
    pointer: str
    detail: str


def findings(graph: Graph) -> list[Finding]:
    """What can be said from the graph alone; empty when it may be published."""
    found = [*_entry(graph), *_references(graph), *_rules(graph), *_matches(graph)]
    return found or [*_unreachable(graph), *_loops(graph)]


def missing(
    graph: Graph, channel_types: Mapping[UUID, str], template_ids: set[UUID]
) -> list[Finding]:
    """References to channels and templates that do not exist or do not fit."""
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
    return found


def _entry(graph: Graph) -> Iterator[Finding]:
    entry = graph.entry
    if entry.next not in {node.id for node in graph.nodes}:
        yield Finding("#/graph/entry/next", f"There is no node {entry.next!r}.")
    if isinstance(entry, SegmentEntry):
        if entry.entry_mode == "concurrent_by_key":
            yield Finding(
                "#/graph/entry/entry_mode", "A segment gives no instance key to tell apart by."
            )
        return
    if entry.entry_mode == "concurrent_by_key" and not entry.instance_key:
        yield Finding("#/graph/entry/instance_key", "concurrent_by_key needs an instance key.")
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
    for index, node in enumerate(graph.nodes):
        if isinstance(node, WaitEvent):
            yield from _where(node.where, f"#/graph/nodes/{index}/where")
        if isinstance(node, Branch):
            for number, branch in enumerate(node.branches):
                try:
                    normalise(branch.rule)
                except RuleInvalid as error:
                    at = f"#/graph/nodes/{index}/branches/{number}/rule{error.pointer}"
                    yield Finding(at, error.detail)


def _where(where: object, pointer: str) -> Iterator[Finding]:
    try:
        compile_filter(where)  # type: ignore[arg-type]
    except RuleInvalid as error:
        yield Finding(pointer + error.pointer, error.detail)


def _matches(graph: Graph) -> Iterator[Finding]:
    if isinstance(graph.entry, EventEntry):
        return
    for index, node in enumerate(graph.nodes):
        if isinstance(node, WaitEvent) and node.match:
            yield Finding(
                f"#/graph/nodes/{index}/match", "A segment entry has no event to match with."
            )


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
    # A wait may pass at once, but each event passes a person on once only: no endless loop there.
    if isinstance(node, Delay | WaitEvent):
        return []
    return [target for _, target in exits_of(node)]
