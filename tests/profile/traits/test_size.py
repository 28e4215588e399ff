"""Sizes of values: their bounds hold, and PostgreSQL's way of writing numbers changes none."""

import json

from hypothesis import given
from hypothesis import strategies as st

from services.profile.traits.size import (
    MAX_DEPTH,
    MAX_VALUE_BYTES,
    at_most,
    depth,
    may_exceed,
    size,
    text_bound,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@given(VALUES)
def test_the_cheap_bounds_are_bounds(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert size(value) <= at_most(value)
    assert size(value) <= text_bound(len(text))


@given(st.dictionaries(st.text(), VALUES, max_size=3))
def test_what_cannot_exceed_a_limit_by_its_text_does_not(traits: dict[str, object]) -> None:
    text = json.dumps(traits, ensure_ascii=False, separators=(",", ":"))
    if not may_exceed(text):
        assert all(size(v) <= MAX_VALUE_BYTES and depth(v) <= MAX_DEPTH for v in traits.values())


def test_many_digits_are_no_way_around_the_bound() -> None:
    digits = [7] * 2000
    assert size(digits) <= text_bound(len(json.dumps(digits, separators=(",", ":"))))
    assert may_exceed(json.dumps({"x": digits}, separators=(",", ":")))


def test_a_number_is_as_large_however_it_is_written() -> None:
    assert size(1e30) == size(10**30)


def test_depth_counts_objects_and_lists() -> None:
    assert [depth(v) for v in (1, "[", [], {"a": [1]}, [{}, [[0]]])] == [0, 0, 1, 2, 3]
