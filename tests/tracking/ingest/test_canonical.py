"""Canonical JSON: what goes in comes out equal, or is refused with its place."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracking.ingest.canonical import MAX_DEPTH, MAX_KEYS, NotCanonical, canonical

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
# Keys of few letters, dots and quotes, so that collisions happen.
KEYS = st.text(alphabet='ab."\\', min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    LEAVES.filter(lambda v: not (isinstance(v, float) and v in (float("inf"), float("-inf")))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def leaf_paths(value: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            found += leaf_paths(inner, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found


def has_nul(value: Any) -> bool:
    return "\\u0000" in json.dumps(value)  # more than there are, which is well here


def test_an_object_that_lost_all_its_keys_is_a_leaf_like_any_other() -> None:
    once = canonical({"b.a": {"a.b": 1}, "b": {"a": {}, "a.a.b": 1}})
    assert canonical(json.loads(once)) == once


@given(OBJECTS)
def test_an_accepted_object_is_its_own_canonical_form(value: dict[str, Any]) -> None:
    if has_nul(value):
        return
    text = canonical(value)
    assert canonical(json.loads(text)) == text


@given(OBJECTS)
def test_no_path_of_an_accepted_object_is_written_in_two_ways(value: dict[str, Any]) -> None:
    if has_nul(value):
        return
    paths = leaf_paths(json.loads(canonical(value)))
    assert len(paths) == len(set(paths))


@given(OBJECTS.filter(lambda value: "." not in json.dumps(list(value)) and not has_nul(value)))
def test_what_breaks_no_rule_is_kept_whole(value: dict[str, Any]) -> None:
    paths = leaf_paths(value)
    if len(paths) == len(set(paths)) and not any("." in path for path in paths):
        assert msgspec.json.decode(canonical(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "{}"),
        ({}, "{}"),
        ({"a": {"b": 1}, "a.b": 2}, '{"a":{"b":1}}'),
        ({"a.b": 2, "a": {"b": 1}}, '{"a":{"b":1}}'),
        ({"a": {"b": {"c": 1}}, "a.b": {"c": 2}, "a.b.c": 3}, '{"a":{"b":{"c":1}},"a.b":{}}'),
        ({'x"y.z': 1, 'x"y': {"z": 2}}, '{"x\\"y":{"z":2}}'),
        ({"list": [{"a.b": 1, "a": {"b": 2}}]}, '{"list":[{"a":{"b":2}}]}'),
        ({"version": "1.2", "a.b": 1}, '{"version":"1.2","a.b":1}'),
        ({"text": "a \\u0000 written out"}, '{"text":"a \\\\u0000 written out"}'),
        # No store behind the log holds integers beyond 64 bits as such.
        ({"big": 10**30, "in": [[-(2**63) - 1]]}, '{"big":1e30,"in":[[-9.223372036854776e18]]}'),
        ({"big": [2**64 - 1, -(2**63)]}, '{"big":[18446744073709551615,-9223372036854775808]}'),
    ],
)
def test_known_objects(value: dict[str, Any] | None, expected: str) -> None:
    assert canonical(value) == expected


def test_the_object_itself_stays_as_it_was() -> None:
    value = {"a": {"b.c": 1}, "a.b": {"c": 2}, "big": 10**30}
    canonical(value)
    assert value == {"a": {"b.c": 1}, "a.b": {"c": 2}, "big": 10**30}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"leaf": 1}
    for _ in range(levels - 1):
        value = {"n": value}
    return value


@pytest.mark.parametrize(
    ("value", "reason", "pointer"),
    [
        ({"a": [1, {"b": "x\x00"}]}, "nul", "/a/1/b"),
        ({"a\x00": 1}, "nul", ""),
        (nested(MAX_DEPTH + 1), "too_deep", ""),
        ({"a": [nested(MAX_DEPTH)]}, "too_deep", ""),
        ({str(i): i for i in range(MAX_KEYS + 1)}, "too_many_keys", ""),
        ({"a": [10**400]}, "out_of_range", "/a/0"),
    ],
)
def test_what_no_store_can_hold_is_refused(
    value: dict[str, Any], reason: str, pointer: str
) -> None:
    with pytest.raises(NotCanonical) as refused:
        canonical(value)
    assert (refused.value.reason, refused.value.pointer) == (reason, pointer)


def test_the_limits_themselves_are_accepted() -> None:
    assert json.loads(canonical(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    assert len(json.loads(canonical({str(i): i for i in range(MAX_KEYS)}))) == MAX_KEYS
