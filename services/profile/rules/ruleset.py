"""A workspace's rules made ready to run: who reads what, and in which order they are told. Pure."""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from services.contracts.computed import AggregateKind
from services.rules import (
    Held,
    Leaf,
    Person,
    Rule,
    Sequence,
    compile_memory,
    fields,
    held,
    normalise,
)
from services.rules.aggregates import Aggregate
from services.rules.filters import EventFilter, filter_of
from services.rules.model import AtLeast, Const, Expr, Test, walk

Kind = Literal["segment", "watch", "model", "held"]
Read = tuple[str, str]
"""What a rule reads: ("leaf", id), ("traits", top key), ("consent", purpose), ("segment", id),
("stage", ""), ("held", id of an inner rule)."""

STAGE: Read = ("stage", "")


@dataclass(frozen=True, slots=True)
class Definition:
    """Rules as they are stored. ``trees``: one tree; for a stage model (stage id, tree) in order.

    ``live``: kept up to date for everybody; else only its leaves are counted.
    """

    key: str
    kind: Kind
    trees: list[tuple[str, Mapping[str, Any]]]
    live: bool
    announced: bool = True
    """False while it is evaluated for the first time and its truth is no news yet."""
    wanted: bool = True
    """False for a rule that nobody watches: only its leaves are counted."""
    stalls: Mapping[str, int] = field(default_factory=dict)
    """Of a stage model, after how many seconds one stalls in a stage, by its id."""


@dataclass(frozen=True, slots=True)
class Node:
    """A live definition. ``options``: (value, predicate), of which the last that holds counts."""

    key: str
    kind: Kind
    options: tuple[tuple[str, Callable[[Person, int], bool]], ...]
    reads: frozenset[Read]
    announced: bool

    def value(self, person: Person, now_ms: int) -> str | None:
        """The stage of a model; ``""`` for another rule that holds; else None."""
        for value, holds in reversed(self.options):
            if holds(person, now_ms):
                return value
        return None


@dataclass(slots=True)
class LeafPlan:
    """How events are counted for a leaf; ``thresholds`` are the counts live rules compare with.

    ``sequences``: those of live rules that begin with it.
    """

    leaf: Leaf
    matches: EventFilter
    needs_context: bool
    thresholds: set[int] = field(default_factory=set)
    sequences: set[Sequence] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Trait:
    """A computed trait whose values may be shown: all of its past is known."""

    name: str
    kind: AggregateKind


@dataclass(frozen=True, slots=True)
class AggregatePlan:
    """How events are counted for computed traits; ``folding``: the past still lies beside."""

    aggregate: Aggregate
    counted: LeafPlan
    traits: tuple[Trait, ...]
    folding: bool


class RuleCycle(ValueError):
    """Definitions read each other in a circle, so none could be told first."""


@dataclass(frozen=True)
class RuleSet:
    leaves: dict[str, LeafPlan]
    by_event: dict[str, list[LeafPlan]]
    nodes: tuple[Node, ...]
    """Each after everything it reads."""
    readers: dict[Read, tuple[int, ...]]
    all_reads: frozenset[Read]
    """What any definition reads, live or not."""
    primary_model: str | None
    """The model that the rule field ``stage`` means: the one that was published first."""
    segments: frozenset[str]
    """Those whose members are put in by hand, which nothing is evaluated for, among them."""
    stalls: dict[tuple[str, str], int]
    """By (model, stage), after how many seconds one stalls there."""
    spans: dict[str, set[int]]
    """By key of a held rule, how long (ms) live rules ask that it has held."""
    first_steps: dict[str, set[str]]
    """By leaf, first steps of the live sequences it is in: their states know the due time."""
    needs: tuple[frozenset[str], ...] = ()
    """By node, the leaves it reads and those of all that may have to be asked because of it."""
    of_newcomers: tuple[int, ...] = ()
    """Nodes to be asked about a person of whom nothing is known yet: those that hold for such a
    one, or that read what nobody tells. Others become true by what is told, and are asked then."""
    aggregates: dict[str, AggregatePlan] = field(default_factory=dict)
    aggregates_by_event: dict[str, list[AggregatePlan]] = field(default_factory=dict)


def build(definitions: Iterable[Definition], aggregates: Iterable[AggregatePlan] = ()) -> RuleSet:
    """Compile stored definitions; stage models in the order they were published.

    Raises ``RuleCycle``, and ``RuleInvalid`` for a tree that means nothing.
    """
    definitions = list(definitions)
    compiled = {
        d.key: [(value, normalise(dict(tree))) for value, tree in d.trees] for d in definitions
    }
    primary = next((d.key for d in definitions if d.kind == "model"), None)
    leaves: dict[str, LeafPlan] = {}
    for rules in compiled.values():
        for _, rule in rules:
            for leaf in rule.leaves:
                leaves.setdefault(leaf.leaf_id, plan(leaf))
    by_event: dict[str, list[LeafPlan]] = {}
    for each in leaves.values():
        by_event.setdefault(each.leaf.event, []).append(each)
    sampled: dict[str, list[AggregatePlan]] = {}
    for plan_ in (plans := list(aggregates)):
        sampled.setdefault(plan_.aggregate.leaf.event, []).append(plan_)
    ordered = _order(definitions, compiled, primary)
    nodes = tuple(_node(d, compiled[d.key]) for d in ordered if d.live)
    readers: dict[Read, list[int]] = {}
    for index, node in enumerate(nodes):
        for read in node.reads:
            readers.setdefault(read, []).append(index)
    spans, first_steps = _timed((rule for n in nodes for _, rule in compiled[n.key]), leaves)
    return RuleSet(
        leaves,
        by_event,
        nodes,
        {read: tuple(found) for read, found in readers.items()},
        frozenset(read for rules in compiled.values() for _, rule in rules for read in reads(rule)),
        primary,
        frozenset(d.key for d in definitions if d.kind == "segment"),
        {(d.key, stage): seconds for d in definitions for stage, seconds in d.stalls.items()},
        spans,
        first_steps,
        _needs(nodes, readers, primary),
        tuple(index for index, node in enumerate(nodes) if _of_newcomers(node)),
        {plan_.aggregate.aggregate_id: plan_ for plan_ in plans},
        sampled,
    )


def _needs(
    nodes: Sequence_[Node], readers: Mapping[Read, list[int]], primary: str | None
) -> tuple[frozenset[str], ...]:
    needs: list[frozenset[str]] = [frozenset()] * len(nodes)
    # Whoever reads a node comes after it.
    for index, node in reversed(list(enumerate(nodes))):
        told = STAGE if node.key == primary else (node.kind, node.key)
        mine = {key for kind, key in node.reads if kind == "leaf"}
        needs[index] = frozenset(mine).union(*(needs[reader] for reader in readers.get(told, ())))
    return tuple(needs)


def _of_newcomers(node: Node) -> bool:
    untold = any(source in ("account", "bucket", "consent") for source, _ in node.reads)
    return untold or node.value(Person(), 0) is not None


def _timed(
    live: Iterable[Rule], leaves: dict[str, LeafPlan]
) -> tuple[dict[str, set[int]], dict[str, set[str]]]:
    """``RuleSet.spans`` and ``first_steps``; plans learn what live rules ask of their leaves."""
    spans: dict[str, set[int]] = {}
    first_steps: dict[str, set[str]] = {}
    for node in (node for rule in live for node in walk(rule.root)):
        if isinstance(node, AtLeast):
            leaves[node.leaf.leaf_id].thresholds.add(node.n)
        elif isinstance(node, Held):
            spans.setdefault(node.key, set()).add(node.for_ms)
        elif isinstance(node, Sequence):
            first = node.steps[0].leaf_id
            leaves[first].sequences.add(node)
            for leaf in node.leaves:
                first_steps.setdefault(leaf.leaf_id, set()).add(first)
    return spans, first_steps


def plan(leaf: Leaf) -> LeafPlan:
    return LeafPlan(leaf, filter_of(leaf.where), _reads_context(leaf.where))


def reads(rule: Rule) -> frozenset[Read]:
    """What may change the truth of a rule."""
    found: set[Read] = {("leaf", leaf.leaf_id) for leaf in rule.leaves}
    for source, path in fields(rule):
        found.add(STAGE if source == "stage" else (source, path[0]))
    found.update(("segment" if node.segment else "held", node.key) for node in held(rule))
    return frozenset(found)


def _node(definition: Definition, rules: list[tuple[str, Rule]]) -> Node:
    return Node(
        definition.key,
        definition.kind,
        tuple((value, compile_memory(rule)) for value, rule in rules),
        frozenset().union(*(reads(rule) for _, rule in rules)),
        definition.announced,
    )


def _reads_context(expr: Expr) -> bool:
    if isinstance(expr, Const):
        return False
    return any(isinstance(node, Test) and node.source == "context" for node in walk(expr))


def _order(
    definitions: list[Definition],
    compiled: Mapping[str, list[tuple[str, Rule]]],
    primary: str | None,
) -> list[Definition]:
    known = {d.key: d for d in definitions}
    graph: dict[str, set[str]] = {}
    for definition in definitions:
        needed = graph.setdefault(definition.key, set())
        for _, rule in compiled[definition.key]:
            for read in reads(rule):
                if read == STAGE and primary is not None:
                    needed.add(primary)
                elif read[0] in ("segment", "held") and read[1] in known:
                    needed.add(read[1])
    try:
        return [known[key] for key in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise RuleCycle("The rules read each other in a circle.") from error
