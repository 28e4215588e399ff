"""When time alone may change what a rule says."""

from collections.abc import Iterator, Mapping

from services.rules.leaves import EMPTY, LeafState, next_change
from services.rules.model import AtLeast, Held, Rule, Sequence, walk
from services.rules.sequences import sequence_change

_NEVER: Mapping[str, int] = {}


def next_due(
    rule: Rule,
    states: Mapping[str, LeafState],
    now_ms: int,
    since: Mapping[str, int] = _NEVER,
) -> int | None:
    """Return the first instant after now at which a rule's truth may change without an event.

    It is the earliest change of any part of it: early at times, never late. `since` as in
    `Person`; when an inner rule itself changes is not looked at.
    """
    return min(_changes(rule, states, now_ms, since), default=None)


def held_due(since_ms: int, for_ms: int, now_ms: int) -> int | None:
    """Return when something held since then will have held long enough, None if it has."""
    due = since_ms + for_ms
    return due if due > now_ms else None


def _changes(
    rule: Rule, states: Mapping[str, LeafState], now_ms: int, since: Mapping[str, int]
) -> Iterator[int]:
    for node in walk(rule.root):
        due = None
        if isinstance(node, AtLeast):
            due = next_change(states.get(node.leaf.leaf_id, EMPTY), node.leaf, node.n, now_ms)
        elif isinstance(node, Sequence):
            due = sequence_change(node, states, now_ms)
        elif isinstance(node, Held) and node.key in since:
            due = held_due(since[node.key], node.for_ms, now_ms)
        if due is not None:
            yield due
