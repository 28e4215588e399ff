"""Leaf states: order never matters, nothing is lost within bounds, expiry is known ahead."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rules import (
    EMPTY,
    Leaf,
    LeafState,
    Person,
    evaluate,
    leaf_count,
    leaf_of,
    merge,
    next_change,
    next_due,
    normalise,
    update,
)
from tests.rules.strategies import NOW_MS, event_nodes, trees

HOUR_MS = 3_600_000


def _leaf(at_least: int = 1, window: Any = None) -> Leaf:
    return leaf_of({"event": "A", "count": {"value": at_least}, "window": window})


LEAVES = [
    _leaf(),
    _leaf(window={"after": "2026-10-24T00:00:00Z"}),
    _leaf(1, {"last_seconds": 3600}),
    _leaf(5, {"last_seconds": 3600}),
    _leaf(64, {"last_seconds": 3600}),
    _leaf(65, {"last_seconds": 3600}),
]
ages = st.lists(st.integers(0, 2 * HOUR_MS), max_size=120)


@given(st.sampled_from(LEAVES), ages, st.randoms(use_true_random=False), st.integers(0, 120))
@settings(max_examples=200, deadline=None)
def test_neither_the_order_of_events_nor_of_blocks_nor_a_merge_matters(
    leaf: Leaf, found: list[int], random: Any, cut: int
) -> None:
    times = [NOW_MS - age for age in found]
    at_once = update(EMPTY, leaf, times)
    random.shuffle(times)
    in_blocks = update(update(EMPTY, leaf, times[:cut]), leaf, times[cut:])
    merged = merge(update(EMPTY, leaf, times[cut:]), update(EMPTY, leaf, times[:cut]), leaf)
    assert at_once == in_blocks == merged
    assert len(at_once.recent) <= 64
    assert len(at_once.buckets) <= 66


@given(st.sampled_from(LEAVES), ages)
@settings(max_examples=100, deadline=None)
def test_a_state_survives_json_and_msgpack_lists(leaf: Leaf, found: list[int]) -> None:
    state = update(EMPTY, leaf, [NOW_MS - age for age in found])
    total, first, last, recent, buckets = state
    wire: list[Any] = [total, first, last, list(recent), [list(pair) for pair in buckets]]
    assert LeafState.from_wire(wire) == state


def test_an_event_leaves_a_sliding_window_exactly_its_length_later() -> None:
    leaf = _leaf(2, {"last_seconds": 3600})
    state = update(EMPTY, leaf, [NOW_MS - 10, NOW_MS])
    assert leaf_count(state, leaf, NOW_MS - 10 + HOUR_MS - 1) == 2
    assert leaf_count(state, leaf, NOW_MS - 10 + HOUR_MS) == 1
    assert next_change(state, leaf, 2, NOW_MS) == NOW_MS - 10 + HOUR_MS
    assert next_change(state, leaf, 1, NOW_MS) == NOW_MS + HOUR_MS
    assert next_change(state, leaf, 3, NOW_MS) is None


def test_a_crowd_leaves_a_sliding_window_in_parts_of_a_64th() -> None:
    leaf = _leaf(65, {"last_seconds": 3600})
    width = leaf.width_ms
    assert width == 56_250
    start = NOW_MS - NOW_MS % width
    state = update(EMPTY, leaf, [start + i for i in range(100)])
    gone = start + width - 1 + HOUR_MS
    assert leaf_count(state, leaf, gone - 1) == 100
    assert leaf_count(state, leaf, gone) == 0
    assert next_change(state, leaf, 65, start + 100) == gone


def test_a_fixed_window_keeps_only_what_it_holds() -> None:
    window = {"after": "2026-10-24T00:00:00Z", "before": "2026-10-25T00:00:00Z"}
    leaf = _leaf(window=window)
    assert leaf.after_ms is not None
    assert leaf.before_ms is not None
    edges = [leaf.after_ms - 1, leaf.after_ms, leaf.before_ms - 1, leaf.before_ms]
    state = update(EMPTY, leaf, edges)
    assert state == LeafState(2, leaf.after_ms, leaf.before_ms - 1, (), ())
    assert next_change(state, leaf, 1, NOW_MS) is None


@given(trees(event_nodes()), st.data())
@settings(max_examples=150, deadline=None)
def test_no_truth_changes_before_the_instant_that_is_due(tree: Any, data: st.DataObject) -> None:
    rule = normalise(tree)
    states = {
        leaf.leaf_id: update(EMPTY, leaf, [NOW_MS - age for age in data.draw(ages)])
        for leaf in rule.leaves
    }
    person, now = Person(leaf_states=states), NOW_MS
    for _ in range(300):
        due = next_due(rule, states, now)
        until = now + 30 * 24 * HOUR_MS if due is None else due - 1
        assert until >= now
        assert evaluate(rule, person, until) == evaluate(rule, person, now)
        middle = data.draw(st.integers(now, until))
        assert evaluate(rule, person, middle) == evaluate(rule, person, now)
        if due is None:
            break
        now = due
    else:
        pytest.fail("a bounded state has a bounded number of changes")


@pytest.mark.parametrize(("at_least", "keep"), [(1, 1), (2, 8), (8, 8), (9, 64), (64, 64), (65, 0)])
def test_a_sliding_leaf_keeps_as_much_as_its_count_asks_for(at_least: int, keep: int) -> None:
    assert _leaf(at_least, {"last_days": 1}).keep == keep
    assert _leaf(at_least).keep == 0
