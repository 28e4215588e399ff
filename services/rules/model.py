"""The normalised rule: a small closed tree that every evaluator and compiler walks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

Source = Literal[
    "traits",
    "computed",
    "account",
    "segment",
    "stage",
    "consent",
    "bucket",
    "properties",
    "context",
]
Op = Literal[
    "=", "<", "<=", ">", ">=", "contains", "beginsWith", "endsWith", "in", "between", "null"
]


@dataclass(frozen=True, slots=True)
class Time:
    """An instant as a literal, in microseconds since 1970 (UTC)."""

    us: int


Literal_ = bool | int | float | str | Time
Operand = Literal_ | tuple[Literal_, ...] | None


@dataclass(frozen=True, slots=True)
class Const:
    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    child: "Expr"


@dataclass(frozen=True, slots=True)
class All:
    children: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    children: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True)
class Test:
    """A positive test of one field; the negative operators are `Not` of it."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    source: Source
    path: tuple[str, ...]
    op: Op
    value: Operand


def bounds(test: Test) -> tuple[Test, Test]:
    """Return what a `between` stands for: at least the first value, at most the second."""
    assert isinstance(test.value, tuple)
    low, high = test.value
    return replace(test, op=">=", value=low), replace(test, op="<=", value=high)


@dataclass(frozen=True)
class Leaf:
    """What one event node counts: its count comparison is left to the rule.

    `last_ms`: length of a sliding window; `after_ms`, `before_ms`: a fixed one (inclusive,
    exclusive); none of them: ever. `keep`: how many latest times are remembered: 1, 8 or 64 by a
    sliding leaf, 0 where more than 64 are asked for and counts are bucketed; 64 by a leaf of a
    sequence, else 0 by a leaf that does not slide.
    """

    leaf_id: str = field(compare=True)
    event: str
    where: "Expr"
    last_ms: int | None
    after_ms: int | None
    before_ms: int | None
    keep: int

    @cached_property
    def width_ms(self) -> int:
        """Width of a bucket of a bucketed leaf: a 64th of the window, at least 1 ms."""
        return max(1, -(-(self.last_ms or 0) // 64))


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The person did what the leaf says at least `n` times, n >= 1."""

    leaf: Leaf
    n: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """The person did the `steps` one after another, and then, within the time, not the `absent`.

    All leaves share their window and keep 64 times; a fixed window of `absent` ends `within_ms`
    later. `within_ms`: the last step, or its absence, counts less than this after the first.
    """

    steps: tuple[Leaf, ...]
    absent: Leaf | None
    within_ms: int | None

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        return self.steps if self.absent is None else (*self.steps, self.absent)


@dataclass(frozen=True, slots=True)
class Held:
    """The inner rule has held for at least `for_ms`. `Person.since` has its `key`.

    `segment`: the inner rule is membership in one segment, and `key` the segment's id.
    """

    key: str
    segment: bool
    rule: "Rule"
    for_ms: int


Atom = Test | AtLeast | Sequence | Held
Expr = Const | Not | All | Some | Atom


@dataclass(frozen=True)
class Rule:
    """A normalised rule; equal meaning as far as normalising sees gives an equal `hash`."""

    root: Expr
    hash: str

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        return leaves(self)


def walk(expr: Expr) -> Iterator[Expr]:
    """Yield every node of the tree, but neither filters of event leaves nor what was held."""
    stack = [expr]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, Not):
            stack.append(node.child)
        elif isinstance(node, (All, Some)):
            stack.extend(node.children)


def leaves(rule: Rule) -> tuple[Leaf, ...]:
    """Return the event leaves a rule reads, each once, ordered by `leaf_id`."""
    found: dict[str, Leaf] = {}
    for node in walk(rule.root):
        if isinstance(node, AtLeast):
            found[node.leaf.leaf_id] = node.leaf
        elif isinstance(node, Sequence):
            found.update((leaf.leaf_id, leaf) for leaf in node.leaves)
    return tuple(found[key] for key in sorted(found))


def held(rule: Rule) -> tuple[Held, ...]:
    """Return the nodes of a rule that ask how long something held, not those inside them."""
    return tuple(node for node in walk(rule.root) if isinstance(node, Held))


def parts(rule: Rule) -> Iterator[Rule]:
    """Yield the rule and all rules inside it of which it is asked how long they held."""
    yield rule
    for node in held(rule):
        yield from parts(node.rule)


def fields(rule: Rule) -> frozenset[tuple[Source, tuple[str, ...]]]:
    """Return the profile fields a rule reads, as (source, path); a segment's path is its id."""
    found: set[tuple[Source, tuple[str, ...]]] = set()
    for node in walk(rule.root):
        if isinstance(node, Test):
            if node.source == "segment" and isinstance(node.value, tuple):
                found.update(("segment", (str(value),)) for value in node.value)
            elif node.source == "segment":
                found.add(("segment", (str(node.value),)))
            else:
                found.add((node.source, node.path))
    return frozenset(found)
