"""A leaf back in its wire form, so that one service can ask another about it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from services.contracts import rules as wire
from services.contracts.conditions import Condition, Operator, Scalar, TimeValue
from services.rules.errors import RuleInvalid
from services.rules.model import All, Const, Expr, Leaf, Literal_, Not, Some, Test, Time
from services.rules.normalise import normalise

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPPOSITE: dict[str, Operator] = {
    "=": "!=",
    "contains": "doesNotContain",
    "beginsWith": "doesNotBeginWith",
    "endsWith": "doesNotEndWith",
    "in": "notIn",
    "between": "notBetween",
    "null": "notNull",
}


def event_node(leaf: Leaf) -> wire.EventNode | wire.SequenceNode:
    """Return a node whose only leaf is this one: `leaf_of(event_node(leaf)) == leaf`."""
    window = None
    if leaf.last_ms is not None:
        window = wire.Window(last_seconds=leaf.last_ms // 1000)
    elif leaf.after_ms is not None or leaf.before_ms is not None:
        window = wire.Window(after=_moment(leaf.after_ms), before=_moment(leaf.before_ms))
    where = None if leaf.where == Const(True) else _group(leaf.where)
    if leaf.keep and leaf.last_ms is None:
        # Only a sequence keeps times without a sliding window.
        step = wire.SequenceStep(event=leaf.event, where=where)
        return wire.SequenceNode(sequence=[step, step], window=window)
    # The count chooses how much a sliding leaf keeps; 65 is the first that asks for buckets.
    count = (leaf.keep or 65) if leaf.last_ms is not None else 1
    return wire.EventNode(
        event=leaf.event, count=wire.Count(value=count), where=where, window=window
    )


def leaf_of(node: wire.EventNode | wire.SequenceNode | dict[str, Any]) -> Leaf:
    """Return the one leaf of a node. Raises RuleInvalid, also where there is not one."""
    found = normalise(node).leaves
    if len(found) != 1:
        raise RuleInvalid("", "an event node that counts events once is accepted")
    return found[0]


def _moment(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else _EPOCH + timedelta(milliseconds=time_ms)


def _group(expr: Expr) -> wire.WhereGroup:
    node = _node(expr)
    return node if isinstance(node, wire.WhereGroup) else _joined("and", [node])


def _node(expr: Expr) -> wire.WhereGroup | Condition:
    match expr:
        case Test():
            return _condition(expr, expr.op)
        case Not(Test() as test) if test.op in _OPPOSITE:
            return _condition(test, _OPPOSITE[test.op])
        case Not(All(children)):
            return _joined("and", list(map(_node, children)), negated=True)
        case Not(Some(children)):
            return _joined("or", list(map(_node, children)), negated=True)
        case Not(child):
            return _joined("and", [_node(child)], negated=True)
        case All(children):
            return _joined("and", list(map(_node, children)))
        case Some(children):
            return _joined("or", list(map(_node, children)))
    raise TypeError(f"not a filter of one event: {expr!r}")


def _joined(
    combinator: wire.Combinator,
    rules: list[wire.WhereGroup | Condition],
    *,
    negated: bool = False,
) -> wire.WhereGroup:
    return wire.WhereGroup.model_validate(
        {"combinator": combinator, "not": negated, "rules": rules}
    )


def _condition(test: Test, operator: Operator) -> Condition:
    field = ".".join((test.source, *test.path))
    if isinstance(test.value, tuple):
        values = [_literal(value) for value in test.value]
        return Condition(field=field, operator=operator, value=values)
    value = None if test.value is None else _literal(test.value)
    return Condition(field=field, operator=operator, value=value)


def _literal(value: Literal_) -> Scalar | TimeValue:
    if isinstance(value, Time):
        return TimeValue(time=_EPOCH + timedelta(microseconds=value.us))
    return value
