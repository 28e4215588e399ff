"""Groups of nodes, and the filters of one event that are made of them."""

from collections.abc import Callable
from typing import Any

from services.contracts import conditions, rules
from services.rules.canonical import compose, conjunction, disjunction, negate
from services.rules.conditions import condition
from services.rules.model import Const, Expr, Source

EVENT_FIELDS: frozenset[Source] = frozenset(("properties", "context"))


def group(node: Any, pointer: str, below: Callable[[Any, str], Expr]) -> Expr:
    """Return what a `Group` or `WhereGroup` means; `below` reads its children."""
    children = [below(child, f"{pointer}/rules/{i}") for i, child in enumerate(node.rules)]
    if not children:
        joined: Expr = Const(True)
    else:
        joined = compose(children, conjunction if node.combinator == "and" else disjunction)
    return negate(joined) if node.not_ else joined


def where(node: rules.WhereGroup | conditions.Condition, pointer: str) -> Expr:
    """Return the canonical filter of one event."""
    if isinstance(node, rules.WhereGroup):
        return group(node, pointer, where)
    return condition(node, pointer, EVENT_FIELDS)
