"""What one test means for one value, in memory; `meaning.md` says it in words."""

from collections.abc import Callable, Mapping
from typing import Any

from services.rules.instants import parse_us
from services.rules.model import Test, Time, bounds

Check = Callable[[Any], bool]


def compile_check(test: Test) -> Check:
    """Return a function from a field's value (None where missing) to whether the test holds."""
    value = test.value
    if test.op == "null":
        return lambda found: found is None
    if test.op == "between":
        low, high = (compile_check(part) for part in bounds(test))
        return lambda found: low(found) and high(found)
    if isinstance(value, Time):
        return _instant(test.op, value.us)
    if isinstance(value, tuple):
        return _member(value)
    if test.op == "=":
        return _equal(value)
    if test.op == "contains":
        return _contains(value)
    if test.op == "beginsWith":
        return _part(str.startswith, value)
    if test.op == "endsWith":
        return _part(str.endswith, value)
    kinds = (str,) if isinstance(value, str) else (int, float)
    compare = _ORDER[test.op]
    # `type() in` and not isinstance: a boolean is an int in Python, but no number here.
    return lambda found: type(found) in kinds and compare(found, value)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _equal(value: Any) -> Check:
    if isinstance(value, bool):
        return lambda found: found is value
    if isinstance(value, str):
        return lambda found: type(found) is str and found == value
    return lambda found: type(found) in (int, float) and found == value


def _member(values: tuple[Any, ...]) -> Check:
    strings = frozenset(each for each in values if isinstance(each, str))
    booleans = frozenset(each for each in values if isinstance(each, bool))
    numbers = frozenset(each for each in values if type(each) in (int, float))
    sets: Mapping[type, frozenset[Any]] = {
        str: strings,
        bool: booleans,
        int: numbers,
        float: numbers,
    }

    def check(found: Any) -> bool:
        known = sets.get(type(found))
        return known is not None and found in known

    return check


def _part(compare: Callable[[str, Any], bool], value: Any) -> Check:
    return lambda found: type(found) is str and compare(found, value)


def _contains(value: Any) -> Check:
    equal = _equal(value)

    def check(found: Any) -> bool:
        if type(found) is str:
            return type(value) is str and value in found
        return isinstance(found, (list, tuple)) and any(map(equal, found))

    return check


def _instant(op: str, us: int) -> Check:
    compare = _ORDER[op]

    def check(found: Any) -> bool:
        moment = parse_us(found) if type(found) is str else None
        return moment is not None and compare(moment, us)

    return check


def look_up(values: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path of object keys, None where any step is missing."""
    for key in path:
        if not isinstance(values, Mapping):
            return None
        values = values.get(key)
    return values
