"""The rule language evaluated in memory, for one person at a time."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from services.rules.bucket import bucket
from services.rules.closures import build
from services.rules.filters import filter_of
from services.rules.leaves import EMPTY, KEEP, LeafState, inside, leaf_count, update
from services.rules.model import (
    All,
    AtLeast,
    Atom,
    Expr,
    Held,
    Leaf,
    Not,
    Rule,
    Sequence,
    Some,
    Test,
)
from services.rules.sequences import sequence_holds
from services.rules.values import compile_check, look_up


@dataclass(slots=True)
class Person:
    """What a rule can read of a person; `leaf_states` by `leaf_id`, absent = never."""

    traits: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, Any] = field(default_factory=dict)
    segments: Set[str] = frozenset()
    stage: str | None = None
    consents: Mapping[str, str] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)
    leaf_states: Mapping[str, LeafState] = field(default_factory=dict)
    profile_id: str = ""
    """The canonical one, as lower-case text: what buckets are drawn by."""
    since: Mapping[str, int] = field(default_factory=dict)
    """Since when (ms) an inner rule holds, by `Held.key`; absent = it does not."""


class PastEvent(NamedTuple):
    """One raw event, for `evaluate_events`."""

    event: str
    properties: Mapping[str, Any]
    context: Mapping[str, Any]
    time_ms: int


Predicate = Callable[[Person, int], bool]


def evaluate(rule: Rule, person: Person, now_ms: int) -> bool:
    """Return whether the rule holds for the person now. Compile it once to ask often."""
    return compile_memory(rule)(person, now_ms)


def compile_memory(rule: Rule) -> Predicate:
    """Return a function from (person, now in ms) to whether the rule holds."""
    return _compile(rule.root)


def evaluate_events(rule: Rule, person: Person, events: Iterable[PastEvent], now_ms: int) -> bool:
    """Return whether the rule holds, counting raw events instead of reading leaf states.

    The slow and obvious reading of the language, which the others are tested against.
    """
    past = list(events)

    def holds(expr: Expr) -> bool:
        match expr:
            case Not(child):
                return not holds(child)
            case All(children):
                return all(map(holds, children))
            case Some(children):
                return any(map(holds, children))
            case AtLeast(leaf, n):
                return count_events(leaf, past, now_ms) >= n
            case Sequence():
                return follows_events(expr, past, now_ms)
        return _compile(expr)(person, now_ms)

    return holds(rule.root)


def count_events(leaf: Leaf, events: Iterable[PastEvent], now_ms: int) -> int:
    """Return how many raw events the leaf's window holds now."""
    times = _times_of(leaf, events)
    if leaf.last_ms is None:
        return sum(inside(leaf, time) for time in times)
    since = now_ms - leaf.last_ms
    if not leaf.keep:
        width = leaf.width_ms
        times = [time - time % width + width - 1 for time in times]
    return sum(time > since for time in times)


def follows_events(sequence: Sequence, events: Iterable[PastEvent], now_ms: int) -> bool:
    """Return whether raw events are the sequence: all ways of picking its steps are tried."""
    past = list(events)
    known = {
        leaf.leaf_id: sorted(t for t in _times_of(leaf, past) if leaf.last_ms or inside(leaf, t))
        for leaf in sequence.leaves
    }
    first, *rest = (known[leaf.leaf_id][-KEEP:] for leaf in sequence.steps)
    absent = known[sequence.absent.leaf_id] if sequence.absent else []
    last_ms, within = sequence.steps[0].last_ms, sequence.within_ms or float("inf")
    for start in first:
        ends = {start}
        for times in rest:
            ends = {t for t in times if any(end < t < start + within for end in ends)}
        if last_ms is not None and start <= now_ms - last_ms:
            continue
        if sequence.absent is None and ends:
            return True
        # Further back than the latest 64 it is not known whether the absent step followed.
        ends = {end for end in ends if len(absent) <= KEEP or end >= absent[-KEEP]}
        alone = any(not any(end < t < start + within for t in absent[-KEEP:]) for end in ends)
        over = sequence.within_ms is None or start + sequence.within_ms <= now_ms
        if sequence.absent and alone and over:
            return True
    return False


def _times_of(leaf: Leaf, events: Iterable[PastEvent]) -> list[int]:
    matches = filter_of(leaf.where)
    return [e.time_ms for e in events if e.event == leaf.event and matches(e.properties, e.context)]


def with_events(person: Person, rule: Rule, events: Iterable[PastEvent]) -> Person:
    """Return the person with the leaf states that these events, and no others, give."""
    past = list(events)
    states: dict[str, LeafState] = {}
    for leaf in rule.leaves:
        states[leaf.leaf_id] = update(EMPTY, leaf, _times_of(leaf, past))
    return replace(person, leaf_states=states)


def _compile(expr: Expr) -> Predicate:
    return build(expr, _atom)


def _atom(node: Atom) -> Predicate:
    if isinstance(node, Test):
        return _test(node)
    if isinstance(node, Sequence):
        return lambda person, now_ms: sequence_holds(node, person.leaf_states, now_ms)
    if isinstance(node, Held):
        return _held(node)
    leaf, n, leaf_id = node.leaf, node.n, node.leaf.leaf_id
    if leaf.last_ms is None:
        return lambda person, now_ms: person.leaf_states.get(leaf_id, EMPTY).total >= n
    return lambda person, now_ms: (
        leaf_count(person.leaf_states.get(leaf_id, EMPTY), leaf, now_ms) >= n
    )


def _held(node: Held) -> Predicate:
    key, for_ms = node.key, node.for_ms

    def check(person: Person, now_ms: int) -> bool:
        since = person.since.get(key)
        return since is not None and since + for_ms <= now_ms

    return check


def _test(test: Test) -> Predicate:
    path = test.path
    if test.source == "segment":
        wanted = frozenset(test.value if isinstance(test.value, tuple) else (test.value,))
        return lambda person, now_ms: not wanted.isdisjoint(person.segments)
    check = compile_check(test)
    if test.source == "bucket":
        return lambda person, now_ms: check(bucket(path[0], person.profile_id))
    if test.source == "stage":
        return lambda person, now_ms: check(person.stage)
    if test.source == "consent":
        return lambda person, now_ms: check(person.consents.get(path[0]))
    if test.source == "account":
        return lambda person, now_ms: check(look_up(person.account, path))
    if test.source == "computed":
        return lambda person, now_ms: check(person.computed.get(path[0]))
    if len(path) == 1:
        key = path[0]
        return lambda person, now_ms: check(person.traits.get(key))
    return lambda person, now_ms: check(look_up(person.traits, path))
