"""The rule language as a pure library: what a rule means is written in `meaning.md`."""

from services.rules.bucket import bucket
from services.rules.due import held_due, next_due
from services.rules.errors import RuleInvalid
from services.rules.filters import compile_filter, filter_of
from services.rules.leaves import (
    EMPTY,
    LeafState,
    leaf_count,
    merge,
    next_change,
    update,
)
from services.rules.memory import Person, compile_memory, evaluate, evaluate_events
from services.rules.model import Held, Leaf, Rule, Sequence, fields, held, leaves, parts
from services.rules.normalise import normalise, normalise_where
from services.rules.sequences import sequence_change
from services.rules.wire import event_node, leaf_of

__all__ = [
    "EMPTY",
    "Held",
    "Leaf",
    "LeafState",
    "Person",
    "Rule",
    "RuleInvalid",
    "Sequence",
    "bucket",
    "compile_filter",
    "compile_memory",
    "evaluate",
    "evaluate_events",
    "event_node",
    "fields",
    "filter_of",
    "held",
    "held_due",
    "leaf_count",
    "leaf_of",
    "leaves",
    "merge",
    "next_change",
    "next_due",
    "normalise",
    "normalise_where",
    "parts",
    "sequence_change",
    "update",
]
