"""When two values of a trait are the same."""

import pytest

from services.profile.traits.equal import equal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, None),
        ("a", "a"),
        (1, 1.0),
        (1e30, 10**30),
        ([1e30, {"a": [1]}], [10**30, {"a": [1.0]}]),
        ({"a": 1, "b": None}, {"b": None, "a": 1}),
    ],
)
def test_values_that_mean_the_same_are_equal(one: object, other: object) -> None:
    assert equal(one, other)
    assert equal(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, 0),
        (None, False),
        ("1", 1),
        (True, 1),
        ([True], [1]),
        ({"a": 0}, {"a": False}),
        (2**53, 2**53 + 1),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": None}),
        ([], {}),
        ({}, 0),
    ],
)
def test_others_are_not(one: object, other: object) -> None:
    assert not equal(one, other)
    assert not equal(other, one)
