"""Drafts of schemas from samples."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.tracking.plans.infer import MAX_KEYS, observe, paths, schema
from services.tracking.plans.schema import check_schema, compile_schema

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=2), VALUES, max_size=3), min_size=1, max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@given(OBJECTS)
def test_a_draft_is_a_schema_that_every_sample_passes(samples: list[dict[str, Any]]) -> None:
    made = schema(observe(samples), 1.0)
    check_schema(made, "#")
    validator = compile_schema(made)
    assert all(validator.is_valid(sample) for sample in samples)


def test_types_shares_and_required_keys_are_found() -> None:
    samples: list[dict[str, Any]] = [
        {"id": "a", "n": 1, "items": [{"price": 1}, {"price": 2.5, "sku": "s"}]},
        {"id": "b", "n": None},
    ]
    shape = observe(samples)
    assert paths(shape) == [
        ("id", ["string"], 1.0),
        ("items", ["array"], 0.5),
        ("items[].price", ["integer", "number"], 1.0),
        ("items[].sku", ["string"], 0.5),
        ("n", ["integer", "null"], 1.0),
    ]
    made = schema(shape, 1.0)
    assert made["required"] == ["id", "n"]
    assert made["properties"]["items"]["items"]["properties"]["price"] == {"type": "number"}
    assert "items" in schema(shape, 0.5)["required"]


def test_an_object_whose_keys_are_data_stays_open() -> None:
    made = schema(observe([{f"sku-{i}": 1 for i in range(MAX_KEYS + 1)}]), 1.0)
    assert made == {"type": "object"}
