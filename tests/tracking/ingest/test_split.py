"""Cutting JSON text apart without reading it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracking.ingest.split import NotSplittable, elements, members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.lists(VALUES), st.sampled_from([None, 2]), st.booleans())
def test_an_array_comes_apart_into_its_elements(
    values: list[Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    assert [json.loads(part) for part in elements(text)] == values


@given(st.dictionaries(st.text(alphabet="abc"), VALUES), st.sampled_from([None, 2]))
def test_an_object_comes_apart_into_its_members(values: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(values, indent=indent).encode()
    assert {k.decode(): json.loads(v) for k, v in members(text).items()} == values


@pytest.mark.parametrize(
    "text",
    [b"", b"1", b"{", b"[1", b"[1]]", b"[1][2]", b'["a]', b'{"a":1}{}', b"{1:2}", b'{"a"}', b"]["],
)
def test_what_does_not_pair_is_refused(text: bytes) -> None:
    cut = elements if text.startswith(b"[") else members
    with pytest.raises(NotSplittable):
        cut(text)


def test_depth_and_length_cost_no_more_than_reading() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    assert elements(b"[1," + deep + b"]") == [b"1", deep]
    with pytest.raises(NotSplittable):
        elements(b'["' + b"\\a" * 500_000 + b"]")
