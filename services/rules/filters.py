"""Filters of one event by its properties and context, as closures."""

from collections.abc import Callable, Mapping
from typing import Any

from services.contracts import rules as wire
from services.rules.closures import build
from services.rules.errors import RuleInvalid
from services.rules.model import Atom, Expr, Test
from services.rules.normalise import normalise_where
from services.rules.values import compile_check, look_up

Values = Mapping[str, Any]
EventFilter = Callable[[Values, Values], bool]


def compile_filter(
    where: wire.WhereGroup | dict[str, Any] | None, pointer: str = ""
) -> EventFilter:
    """Return a function from an event's (properties, context) to whether `where` holds.

    Raises RuleInvalid as `normalise` does; `pointer` is put before its pointers.
    """
    try:
        return filter_of(normalise_where(where))
    except RuleInvalid as error:
        raise RuleInvalid(pointer + error.pointer, error.detail) from None


def filter_of(expr: Expr) -> EventFilter:
    """Return the closure of a canonical filter, such as `leaf.where`."""
    return build(expr, _test)


def _test(test: Atom) -> EventFilter:
    if not isinstance(test, Test):
        raise TypeError("a filter of one event has tests only")
    check, path = compile_check(test), test.path
    if test.source == "context":
        return lambda properties, context: check(look_up(context, path))
    if len(path) == 1:
        key = path[0]
        return lambda properties, context: check(properties.get(key))
    return lambda properties, context: check(look_up(properties, path))
