"""What is remembered of some events for one kind of calculation: made, joined, written down.

A partial does not depend on the order of its events, and joining those of two disjoint sets gives
that of both. All are plain tuples.
"""

from collections import Counter
from collections.abc import Callable
from math import modf
from typing import Any, Literal, NamedTuple

Family = Literal["moments", "numbers", "edges", "frequencies", "distinct"]

Scalar = tuple[str, str, float]
"""A JSON string, number or boolean as ("s" | "n" | "b", text, number): what values are told apart
and ordered by, as ClickHouse compares the same tuple."""
Sample = tuple[int, Any]
"""(time in ms, value): None for moments, a float for numbers, a `Scalar` for the others."""
Partial = tuple[Any, ...]

MAX_FREQUENCIES = 100
"""Different values whose number of times is kept per part of a window: the first in order."""
MAX_DISTINCT = 1000
MAX_TEXT = 500
"""Longer strings are no values, so that a state stays small."""
MAX_NUMBER = 2.0**53
"""Numbers from here on are no values: above, the stores would not agree on which are equal."""
SCALE = 1_000_000
"""Sums are kept in whole millionths: added up exactly, in any order."""


class Operations(NamedTuple):
    """How partials of one family are made of samples (at least one), joined, and read back."""

    of: Callable[[list[Sample]], Partial]
    join: Callable[[Partial, Partial], Partial]
    to_wire: Callable[[Partial], list[Any]]
    from_wire: Callable[[list[Any]], Partial]


def scalar(value: Any) -> Scalar | None:
    """Return a JSON value as a `Scalar`, None where it is not one that counts."""
    kind = type(value)
    if kind is str:
        return ("s", value, 0.0) if len(value) <= MAX_TEXT else None
    if kind is bool:
        return ("b", "", float(value))
    number_ = number(value)
    return None if number_ is None else ("n", "", number_)


def number(value: Any) -> float | None:
    """Return a JSON number as a double, None where it is not one that counts."""
    if type(value) not in (int, float) or abs(value) >= MAX_NUMBER:
        return None
    # Adding zero makes the negative zero a positive one.
    return float(value) + 0.0


def plain(value: Scalar) -> str | bool | int | float:
    """Return the JSON value of a `Scalar`."""
    kind, text, number_ = value
    if kind == "s":
        return text
    return bool(number_) if kind == "b" else whole(number_)


def whole(value: float) -> int | float:
    """Return a number without its fraction where that is zero, as JSON writes it."""
    return int(value) if value == int(value) else value


def _moments(samples: list[Sample]) -> Partial:
    times = [time for time, _ in samples]
    return len(times), min(times), max(times)


def _join_moments(one: Partial, other: Partial) -> Partial:
    return one[0] + other[0], min(one[1], other[1]), max(one[2], other[2])


def _numbers(samples: list[Sample]) -> Partial:
    values = [value for _, value in samples]
    return len(values), sum(map(_millionths, values)), min(values), max(values)


def _millionths(value: float) -> int:
    # The whole part apart: a product beyond 2^63 is no integer that ClickHouse converts exactly.
    part, full = modf(value)
    return int(full) * SCALE + round(part * SCALE)


def _join_numbers(one: Partial, other: Partial) -> Partial:
    return (
        one[0] + other[0],
        one[1] + other[1],
        min(one[2], other[2]),
        max(one[3], other[3]),
    )


def _edges(samples: list[Sample]) -> Partial:
    return min(samples), max(samples)


def _join_edges(one: Partial, other: Partial) -> Partial:
    return min(one[0], other[0]), max(one[1], other[1])


def _frequencies(samples: list[Sample]) -> Partial:
    return _fewest(Counter(value for _, value in samples))


def _join_frequencies(one: Partial, other: Partial) -> Partial:
    counts = Counter(dict(one))
    counts.update(dict(other))
    return _fewest(counts)


def _fewest(counts: Counter[Scalar]) -> Partial:
    # The first in the order of values, and not the most frequent: which those are changes with
    # every event, so the result would depend on where blocks are cut.
    return tuple(sorted(counts.items())[:MAX_FREQUENCIES])


def _distinct(samples: list[Sample]) -> Partial:
    return tuple(sorted({value for _, value in samples}))


def _join_distinct(one: Partial, other: Partial) -> Partial:
    return tuple(sorted({*one, *other}))


def _edge(pair: list[Any]) -> Sample:
    time, value = pair
    return int(time), _scalar(value)


def _scalar(value: list[Any]) -> Scalar:
    kind, text, number_ = value
    return kind, text, float(number_)


FAMILIES: dict[Family, Operations] = {
    "moments": Operations(_moments, _join_moments, list, lambda w: tuple(map(int, w))),
    # The sum as text: it may be longer than the 64 bits that JSON readers agree on.
    "numbers": Operations(
        _numbers,
        _join_numbers,
        lambda p: [p[0], str(p[1]), p[2], p[3]],
        lambda w: (int(w[0]), int(w[1]), float(w[2]), float(w[3])),
    ),
    "edges": Operations(_edges, _join_edges, list, lambda w: (_edge(w[0]), _edge(w[1]))),
    "frequencies": Operations(
        _frequencies,
        _join_frequencies,
        list,
        lambda w: tuple((_scalar(value), int(n)) for value, n in w),
    ),
    "distinct": Operations(_distinct, _join_distinct, list, lambda w: tuple(map(_scalar, w))),
}
