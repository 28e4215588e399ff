"""One condition: its field, and whether operator and value fit each other."""

from json import dumps

from services.contracts import conditions as wire
from services.rules.bucket import BUCKETS
from services.rules.canonical import literal, negate
from services.rules.errors import RuleInvalid
from services.rules.instants import to_us
from services.rules.model import Const, Expr, Literal_, Op, Source, Test, Time

MAX_PATH = 10
MAX_NUMBER = 2**53

_OPPOSITE: dict[str, wire.Operator] = {
    "!=": "=",
    "doesNotContain": "contains",
    "doesNotBeginWith": "beginsWith",
    "doesNotEndWith": "endsWith",
    "notIn": "in",
    "notBetween": "between",
    "notNull": "null",
}
_POSITIVE: dict[str, Op] = {
    "=": "=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "contains": "contains",
    "beginsWith": "beginsWith",
    "endsWith": "endsWith",
    "in": "in",
    "null": "null",
}
# Fields that hold a name from a closed set: an order among them would mean nothing. A bucket is
# a share of people: only a range of them means something.
_ACCEPTED: dict[str, tuple[Op, ...]] = {
    "segment": ("=", "in"),
    "stage": ("=", "in", "null"),
    "consent": ("=", "in", "null"),
    "bucket": ("<", "<=", ">", ">=", "between"),
}
# What follows these fields is one name, even with dots in it.
_ONE_NAME = {"computed": ".<name>", "consent": ".<purpose>", "bucket": ".<salt>"}
_NAMES = frozenset(("segment", "stage", "consent"))


def condition(node: wire.Condition, pointer: str, allowed: frozenset[Source]) -> Expr:
    """Return the test of a condition, as `Not` of a positive test for negative operators."""
    source, path = _field(node.field, f"{pointer}/field", allowed)
    operator = _OPPOSITE.get(node.operator, node.operator)
    accepted = _ACCEPTED.get(source)
    if accepted is not None and operator not in accepted:
        known = [o for o in (*_POSITIVE, "between", *_OPPOSITE) if _OPPOSITE.get(o, o) in accepted]
        raise RuleInvalid(f"{pointer}/operator", f"{source} accepts only {', '.join(known)}")
    positive = _positive(source, path, operator, node.value, f"{pointer}/value")
    if source == "bucket":
        _whole(node.value, f"{pointer}/value")
    return negate(positive) if operator != node.operator else positive


def _positive(
    source: Source, path: tuple[str, ...], operator: str, value: wire.Value, pointer: str
) -> Expr:
    if operator == "null":
        if value is not None:
            raise RuleInvalid(pointer, "null and notNull accept no value")
        return Test(source, path, "null", None)
    if operator == "between":
        return Test(source, path, "between", _pair(value, pointer))
    if operator == "in":
        return _membership(source, path, value, pointer)
    one = _scalar(value, pointer)
    if operator in ("<", "<=", ">", ">=") and isinstance(one, bool):
        raise RuleInvalid(pointer, "an order is defined for numbers, strings and times only")
    if operator in ("beginsWith", "endsWith") and not isinstance(one, str):
        raise RuleInvalid(pointer, f"{operator} accepts a string")
    if operator == "contains" and isinstance(one, Time):
        raise RuleInvalid(pointer, "contains accepts a string, a number or a boolean")
    if operator in ("contains", "beginsWith", "endsWith") and one == "":
        raise RuleInvalid(pointer, f"{operator} accepts a string that is not empty")
    if source in _NAMES and not isinstance(one, str):
        raise RuleInvalid(pointer, f"{source} is compared with a string")
    return Test(source, path, _POSITIVE[operator], one)


def _membership(source: Source, path: tuple[str, ...], value: wire.Value, pointer: str) -> Expr:
    if not isinstance(value, list):
        raise RuleInvalid(pointer, "in and notIn accept a list")
    values = [_scalar(each, f"{pointer}/{i}") for i, each in enumerate(value)]
    for i, each in enumerate(values):
        if isinstance(each, Time) or (source in _NAMES and not isinstance(each, str)):
            raise RuleInvalid(f"{pointer}/{i}", "a list of strings, numbers, booleans is accepted")
    unique = {dumps(literal(each)): each for each in values}
    if not unique:
        return Const(False)
    if len(unique) == 1:
        return Test(source, path, "=", next(iter(unique.values())))
    return Test(source, path, "in", tuple(unique[key] for key in sorted(unique)))


def _pair(value: wire.Value, pointer: str) -> tuple[Literal_, Literal_]:
    if not isinstance(value, list) or len(value) != 2:
        raise RuleInvalid(pointer, "between and notBetween accept a list of two values")
    low, high = (_scalar(each, f"{pointer}/{i}") for i, each in enumerate(value))
    kinds: tuple[tuple[type, ...], ...] = ((str,), (Time,), (int, float))
    if any(type(low) in kind and type(high) in kind for kind in kinds):
        return low, high
    raise RuleInvalid(pointer, "two numbers, two strings or two times are accepted")


def _whole(value: wire.Value, pointer: str) -> None:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, (int, float)) or each not in range(BUCKETS + 1):
            raise RuleInvalid(pointer, f"bucket accepts whole numbers from 0 to {BUCKETS}")


def _scalar(value: object, pointer: str) -> Literal_:
    if isinstance(value, wire.TimeValue):
        us = to_us(value.time)
        if not 1910 <= value.time.year <= 2199:
            raise RuleInvalid(f"{pointer}/time", "a time from 1910 to 2199 is accepted")
        return Time(us)
    if isinstance(value, str):
        if "\0" in value:
            raise RuleInvalid(pointer, "a string without a NUL character is accepted")
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        # Above 2^53 the stores would not agree on which integers are equal.
        if abs(value) >= MAX_NUMBER:
            raise RuleInvalid(pointer, "a number between -2^53 and 2^53 is accepted")
        return int(value) if value == int(value) else value
    raise RuleInvalid(pointer, "a string, number, boolean or time is accepted (null has operators)")


def _field(text: str, pointer: str, allowed: frozenset[Source]) -> tuple[Source, tuple[str, ...]]:
    head, _, rest = text.partition(".")
    source = next((known for known in allowed if known == head), None)
    if source is None:
        accepted = ", ".join(_form(known) for known in sorted(allowed))
        raise RuleInvalid(pointer, f"one of {accepted} is accepted")
    if source in ("segment", "stage"):
        if rest or "." in text:
            raise RuleInvalid(pointer, f"{source} has no path")
        return source, ()
    path = (rest,) if source in _ONE_NAME else tuple(rest.split("."))
    if not all(path) or len(path) > MAX_PATH or "\0" in rest:
        raise RuleInvalid(
            pointer, f"{_form(source)} with 1 to {MAX_PATH} keys joined by dots is accepted"
        )
    return source, path


def _form(source: Source) -> str:
    tails = {"segment": "", "stage": "", **_ONE_NAME}
    return source + tails.get(source, ".<path>")
