"""Policies of workspaces: what their namespaces make of values, and patterns that stay harmless."""

from typing import Any

import pytest

from services.contracts.identity import IdentityPolicy, Namespace
from services.identifiers import Policy
from services.identifiers.patterns import matcher


def policy(**said: Any) -> Policy:
    names: list[dict[str, Any]] = [{"name": "user_id"}, {"name": "own", **said}, {"name": "email"}]
    namespaces = [Namespace.model_validate(each) for each in names]
    return Policy(IdentityPolicy(version=1, namespaces=namespaces))


@pytest.mark.parametrize(
    ("said", "raw", "value"),
    [
        ({}, " LC-1 ", "LC-1"),
        ({}, 42, "42"),
        ({}, "NULL", None),
        ({}, "00-0", None),
        ({}, "nul\x00", None),
        ({}, "x" * 256, None),
        ({"fold_case": True}, "LC-1", "lc-1"),
        ({"blocked": {"values": ["Test"]}}, "tEST", None),
        ({"blocked": {"values": ["Test"]}}, "null", "null"),
        ({"blocked": {"values": ["Test"]}}, "000", None),
        ({"blocked": {"patterns": []}}, "000", "000"),
        ({"blocked": {"patterns": ["test"]}}, "my-test-card", None),
        ({"blocked": {"patterns": ["^test$"]}}, "my-test-card", "my-test-card"),
        ({"blocked": {"patterns": ["test"]}}, "TEST", "TEST"),
        ({"blocked": {"patterns": ["(?i)test"]}}, "TEST", None),
        ({"kind": "email"}, "A@B.example", "a@b.example"),
        ({"kind": "email", "blocked": {"patterns": ["@b\\.example$"]}}, "A@B.example", None),
        ({"kind": "phone"}, "138 0013 8000", None),
        ({"kind": "phone", "region": "CN"}, "138 0013 8000", "+8613800138000"),
        ({"kind": "phone", "region": "CN"}, "+49 30 901820", "+4930901820"),
        (
            {"kind": "phone", "region": "CN", "blocked": {"values": ["+8613800138000"]}},
            "138 0013 8000",
            None,
        ),
    ],
)
def test_what_a_namespace_makes_of_a_value(
    said: dict[str, Any], raw: object, value: str | None
) -> None:
    assert policy(**said).normalise("own", raw) == value


def test_a_namespace_that_is_not_declared_names_nobody() -> None:
    assert policy().normalise("phone", "+8613800138000") is None


def test_identifiers_are_ordered_by_the_policy_and_told_once() -> None:
    found = [("email", "b"), ("own", "2"), ("own", "1"), ("email", "b"), ("user_id", "u")]
    assert policy().by_priority(found) == [
        *(("user_id", "u"), ("own", "2"), ("own", "1"), ("email", "b"))
    ]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)+$", "^(.*a){20}$"])
def test_patterns_that_explode_elsewhere_end_at_once_here(pattern: str) -> None:
    assert not matcher([pattern]).is_valid("a" * 250 + "!")


@pytest.mark.parametrize(
    "pattern", ["(", "(?=x)x", "(?<!x)x", r"(a)\1", "((a{99}){99}){99}", "[", "*", "a{2,1}"]
)
def test_patterns_that_cannot_run_in_linear_time_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="linear time"):
        matcher(["fine", pattern])
