"""Computed traits: bounded state per (aggregate, profile), and the value it gives at an instant."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from json import dumps, loads
from typing import Any

from services.contracts import computed as wire
from services.contracts.rules import Count, EventNode
from services.rules.conditions import MAX_PATH
from services.rules.errors import RuleInvalid
from services.rules.leaves import MAX_BUCKETS, inside, oldest_ms
from services.rules.model import Leaf
from services.rules.normalise import normalise
from services.rules.partials import (
    FAMILIES,
    MAX_DISTINCT,
    SCALE,
    Family,
    Partial,
    Sample,
    number,
    plain,
    scalar,
    whole,
)
from services.rules.values import look_up

DAY_MS = 86_400_000

FAMILY_OF: dict[wire.AggregateKind, Family] = {
    "count": "moments",
    "days_since_first": "moments",
    "days_since_last": "moments",
    "sum": "numbers",
    "min": "numbers",
    "max": "numbers",
    "average": "numbers",
    "first": "edges",
    "last": "edges",
    "most_frequent": "frequencies",
    "unique_list": "distinct",
    "unique_count": "distinct",
}


@dataclass(frozen=True)
class Aggregate:
    """What is remembered of events for some kinds of computed traits: kinds of one family over
    the same events share it. `leaf` says which events, `path` which property."""

    aggregate_id: str
    family: Family
    leaf: Leaf
    path: tuple[str, ...]

    def sample(self, properties: Mapping[str, Any], time_ms: int) -> Sample | None:
        """Return what one event that passes event and `where` adds, None where nothing."""
        if self.family == "moments":
            return time_ms, None
        found = look_up(properties, self.path)
        value = number(found) if self.family == "numbers" else scalar(found)
        return None if value is None else (time_ms, value)


State = tuple[tuple[int, Partial], ...]
"""(index, partial) pairs, newest first. Sliding windows: `index` is the time divided by the width
of a part, a 64th of the window (`Leaf.width_ms`), at most 66 of them; others: one pair with 0."""

EMPTY: State = ()


@dataclass(frozen=True, slots=True)
class Since:
    """A value that grows by itself: whole days of 24 hours since an instant, never below 0."""

    ms: int

    def days(self, now_ms: int) -> int:
        return max(0, (now_ms - self.ms) // DAY_MS)

    def next_day(self, now_ms: int) -> int:
        """Return the first ms at which there is one day more."""
        return self.ms + (self.days(now_ms) + 1) * DAY_MS


Value = str | bool | int | float | list[Any] | Since | None


def aggregate_of(definition: wire.Aggregate | dict[str, Any]) -> Aggregate:
    """Return what a definition asks to remember. Raises RuleInvalid where it means nothing."""
    if isinstance(definition, dict):
        definition = wire.Aggregate.model_validate(definition)
    family = FAMILY_OF[definition.kind]
    path = _path(definition, family)
    # The 65th asks for parts of a 64th of the window: see `Leaf.keep`.
    node = EventNode(
        event=definition.event,
        where=definition.where,
        window=definition.window,
        count=Count(value=65),
    )
    leaves = normalise(node).leaves
    if not leaves:
        raise RuleInvalid("/where", "a filter that some event can pass is accepted")
    (leaf,) = leaves
    shape = dumps(["aggregate", family, list(path), leaf.leaf_id], separators=(",", ":"))
    return Aggregate(sha256(shape.encode()).hexdigest()[:32], family, leaf, path)


def _path(definition: wire.Aggregate, family: Family) -> tuple[str, ...]:
    text = definition.property
    if family == "moments":
        if text is not None:
            raise RuleInvalid("/property", f"{definition.kind} accepts no property; use `where`")
        return ()
    path = tuple(text.split(".")) if text else ()
    if not path or not all(path) or len(path) > MAX_PATH or "\0" in (text or ""):
        raise RuleInvalid(
            "/property",
            f"{definition.kind} needs a property of the event, 1 to {MAX_PATH} keys joined by dots",
        )
    return path


def update(state: State, aggregate: Aggregate, samples: Iterable[Sample]) -> State:
    """Return the state after events that pass event and `where`, in any order.

    Events outside a fixed window are left out here. The result does not depend on the order of
    samples or of calls.
    """
    leaf, parts = aggregate.leaf, dict[int, list[Sample]]()
    for sample in samples:
        if leaf.last_ms is not None:
            parts.setdefault(sample[0] // leaf.width_ms, []).append(sample)
        elif inside(leaf, sample[0]):
            parts.setdefault(0, []).append(sample)
    of = FAMILIES[aggregate.family].of
    return merge(state, tuple((i, of(each)) for i, each in parts.items()), aggregate)


def merge(one: State, other: State, aggregate: Aggregate) -> State:
    """Return the state of two disjoint sets of events, as when two profiles become one."""
    if not other:
        return one
    join, parts = FAMILIES[aggregate.family].join, dict(one)
    for index, partial in other:
        parts[index] = join(parts[index], partial) if index in parts else partial
    ordered = sorted(parts.items(), key=lambda part: -part[0])
    # What lies further back than the newest event's window can only count again if the clock
    # runs backwards.
    kept = tuple(part for part in ordered if part[0] > ordered[0][0] - MAX_BUCKETS)
    return _once(kept) if aggregate.family == "distinct" else kept


def _once(parts: State) -> State:
    """Each value in the newest part that has it, and of all of them the newest thousand."""
    seen: set[Any] = set()
    result: list[tuple[int, Partial]] = []
    for index, values in parts:
        fresh = [value for value in values if value not in seen][: MAX_DISTINCT - len(seen)]
        seen.update(fresh)
        if fresh:
            result.append((index, tuple(fresh)))
    return tuple(result)


def value_of(kind: wire.AggregateKind, state: State, aggregate: Aggregate, now_ms: int) -> Value:
    """Return what a trait of this kind is worth now, None where the window holds nothing."""
    live = [partial for _, partial in _live(state, aggregate.leaf, now_ms)]
    return _READ[kind](reduce(FAMILIES[aggregate.family].join, live)) if live else None


def _most_frequent(partial: Partial) -> Value:
    # Of several that are as frequent, the first in order.
    return plain(min(partial, key=lambda counted: (-counted[1], counted[0]))[0])


_READ: dict[wire.AggregateKind, Callable[[Partial], Value]] = {
    "count": lambda moments: int(moments[0]),
    "days_since_first": lambda moments: Since(moments[1]),
    "days_since_last": lambda moments: Since(moments[2]),
    "sum": lambda numbers: whole(numbers[1] / SCALE),
    "average": lambda numbers: whole(numbers[1] / (SCALE * numbers[0])),
    "min": lambda numbers: whole(numbers[2]),
    "max": lambda numbers: whole(numbers[3]),
    "first": lambda edges: plain(edges[0][1]),
    "last": lambda edges: plain(edges[1][1]),
    "most_frequent": _most_frequent,
    "unique_list": lambda distinct: [plain(value) for value in distinct],
    "unique_count": len,
}


def next_change(state: State, aggregate: Aggregate, now_ms: int) -> int | None:
    """Return the first ms at which time alone may change what the window holds, or None."""
    leaf = aggregate.leaf
    live = _live(state, leaf, now_ms)
    if leaf.last_ms is None or not live:
        return None
    return (live[-1][0] + 1) * leaf.width_ms - 1 + leaf.last_ms


def _live(state: State, leaf: Leaf, now_ms: int) -> State:
    if leaf.last_ms is None:
        return state
    oldest = oldest_ms(leaf, now_ms) // leaf.width_ms
    return tuple(part for part in state if part[0] >= oldest)


def to_json(state: State, aggregate: Aggregate) -> str:
    """Return the state as JSON text, the same text for the same state."""
    to_wire = FAMILIES[aggregate.family].to_wire
    parts = [[index, to_wire(partial)] for index, partial in state]
    return dumps(parts, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str, aggregate: Aggregate) -> State:
    from_wire = FAMILIES[aggregate.family].from_wire
    parts = ((int(index), from_wire(partial)) for index, partial in loads(text))
    return tuple(sorted(parts, key=lambda part: -part[0]))
