"""Whatever JSON comes in, a rule or a refusal comes out."""

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.conditions import Operator
from services.rules import RuleInvalid, leaf_of, normalise, normalise_where

_KEYS = ["combinator", "not", "rules", "id", "field", "operator", "value", "event", "did"]
_KEYS += ["count", "where", "window", "time", "last_days", "after", "\ud800", "~/", "0"]
_KEYS += ["sequence", "within", "held", "for", "days"]


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects that are nearly nodes, and objects that are not at all."""
    known = {
        "field": st.sampled_from(
            ["traits.a", "segment", "properties.a", "consent.", "stage", "bucket.a"]
        ),
        "operator": st.sampled_from(get_args(Operator)),
        "combinator": st.sampled_from(["and", "or"]),
        "rules": st.lists(inner, max_size=3),
        "event": st.just("A"),
        "value": inner,
        "window": inner,
        "sequence": st.lists(inner, max_size=3),
        "within": inner,
        "held": inner,
        "for": inner,
    }
    nearly = st.fixed_dictionaries({}, optional=known)
    return st.one_of(nearly, st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4))


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["\ud800", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]),
)
junk = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), _objects(inner)),
    max_leaves=12,
)


@pytest.mark.parametrize("read", [normalise, normalise_where, leaf_of])
@given(tree=junk)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_a_rule_or_a_refusal(read: Callable[[Any], object], tree: Any) -> None:
    try:
        read(tree)
    except RuleInvalid as refused:
        pointer, detail = refused.pointer, refused.detail
    else:
        return
    assert detail
    assert (pointer + detail).encode(), "an answer can be written in UTF-8"
    assert pointer == "" or pointer.startswith("/")


def test_a_key_that_cannot_be_written_is_refused_in_words_that_can() -> None:
    with pytest.raises(RuleInvalid, match="unicode") as refused:
        normalise({"combinator": "and", "rules": [{"event": "A", "\ud800": 1}]})
    assert refused.value.pointer == "/rules/0"
