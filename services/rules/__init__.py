"""The rule language as a pure library: what a rule means is written in `meaning.md`."""

from services.rules.bucket import bucket
from services.rules.errors import RuleInvalid
from services.rules.filters import compile_filter, filter_of
from services.rules.leaves import (
    EMPTY,
    LeafState,
    leaf_count,
    merge,
    next_change,
    next_due,
    update,
)
from services.rules.memory import Person, compile_memory, evaluate, evaluate_events
from services.rules.model import Leaf, Rule, fields, leaves
from services.rules.normalise import normalise, normalise_where
from services.rules.wire import event_node, leaf_of

__all__ = [
    "EMPTY",
    "Leaf",
    "LeafState",
    "Person",
    "Rule",
    "RuleInvalid",
    "bucket",
    "compile_filter",
    "compile_memory",
    "evaluate",
    "evaluate_events",
    "event_node",
    "fields",
    "filter_of",
    "leaf_count",
    "leaf_of",
    "leaves",
    "merge",
    "next_change",
    "next_due",
    "normalise",
    "normalise_where",
    "update",
]
