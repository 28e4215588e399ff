"""Computed traits: what counts, bounds that do not depend on order, expiry that is known ahead."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.computed import AggregateKind
from services.rules import RuleInvalid
from services.rules.aggregates import (
    EMPTY,
    FAMILY_OF,
    Aggregate,
    Since,
    Value,
    aggregate_of,
    from_json,
    merge,
    next_change,
    to_json,
    update,
    value_of,
)
from services.rules.memory import PastEvent
from services.rules.partials import MAX_DISTINCT, MAX_FREQUENCIES
from tests.rules.live import same, samples
from tests.rules.strategies import KINDS, NOW_MS, aggregates, events


def aggregate(**definition: Any) -> Aggregate:
    return aggregate_of({"event": "A", **definition})


def sampled(kind: AggregateKind, values: list[Any], window: Any = None) -> tuple[Aggregate, Any]:
    """An aggregate over property `a`, and the samples of events an hour apart with these values."""
    of = aggregate(kind=kind, property="a", window=window)
    found = [of.sample({"a": value}, NOW_MS - HOUR_MS * n) for n, value in enumerate(values)]
    return of, [sample for sample in found if sample is not None]


def worth(kind: AggregateKind, values: list[Any], window: Any = None) -> Value:
    of, found = sampled(kind, values, window)
    return value_of(kind, update(EMPTY, of, found), of, NOW_MS)


HOUR_MS = 3_600_000
SOME = ["b", 2, "a", "b", True, None, 1.0, [1], {"a": 1}, 1, "x" * 501, 2**53]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sum", 4),
        ("average", 4 / 3),
        ("min", 1),
        ("max", 2),
        ("first", 1),
        ("last", "b"),
        ("most_frequent", 1),
        ("unique_list", [True, 1, 2, "a", "b"]),
        ("unique_count", 5),
    ],
)
def test_only_what_is_a_value_counts(kind: AggregateKind, expected: Value) -> None:
    assert same(worth(kind, SOME), expected)


def test_cents_add_up_exactly() -> None:
    assert worth("sum", [0.1] * 10) == 1
    assert worth("sum", [9_007_199_254_740_991] * 3) == 3 * 9_007_199_254_740_991.0


def test_nothing_in_the_window_is_no_value_even_of_a_count() -> None:
    of = aggregate(kind="count", window={"last_seconds": 60})
    state = update(EMPTY, of, [(NOW_MS, None)])
    assert value_of("count", state, of, NOW_MS) == 1
    end = next_change(state, of, NOW_MS)
    assert end is not None
    assert value_of("count", state, of, end - 1) == 1
    assert value_of("count", state, of, end) is None
    assert next_change(state, of, end) is None


def test_the_oldest_part_of_a_window_leaves_first_and_at_the_instant_foretold() -> None:
    of = aggregate(kind="count", window={"last_seconds": 3600})
    state = update(EMPTY, of, [(NOW_MS - HOUR_MS // 2, None), (NOW_MS, None)])
    end = next_change(state, of, NOW_MS)
    assert end is not None
    assert [value_of("count", state, of, at) for at in (NOW_MS, end - 1, end)] == [2, 2, 1]


@given(
    st.sampled_from(KINDS),
    st.sampled_from([None, {"last_days": 1}, {"after": "2026-10-24T12:00:00Z"}]),
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(SOME)), max_size=60),
    st.randoms(use_true_random=False),
    st.integers(0, 60),
)
@settings(max_examples=200, deadline=None)
def test_neither_the_order_of_events_nor_of_blocks_nor_a_merge_matters(
    kind: AggregateKind, window: Any, seen: list[tuple[int, Any]], random: Any, cut: int
) -> None:
    path = None if FAMILY_OF[kind] == "moments" else "a"
    of = aggregate(kind=kind, property=path, window=window)
    taken = [of.sample({"a": value}, NOW_MS - HOUR_MS * age) for age, value in seen]
    found = [sample for sample in taken if sample is not None]
    at_once = update(EMPTY, of, found)
    random.shuffle(found)
    in_blocks = update(update(EMPTY, of, found[:cut]), of, found[cut:])
    merged = merge(update(EMPTY, of, found[cut:]), update(EMPTY, of, found[:cut]), of)
    assert at_once == in_blocks == merged
    assert to_json(at_once, of) == to_json(merged, of)
    assert from_json(to_json(at_once, of), of) == at_once


@pytest.mark.parametrize("window", [None, {"last_days": 100}])
def test_beyond_its_bound_a_state_still_does_not_depend_on_order(window: Any) -> None:
    random = Random(7)  # noqa: S311 (an order, not a secret)
    values = [f"v{n % 1500}" for n in range(2000)]
    for kind in ("most_frequent", "unique_list"):
        of, found = sampled(kind, values, window)
        at_once = update(EMPTY, of, found)
        random.shuffle(found)
        in_blocks = EMPTY
        for start in range(0, len(found), 300):
            in_blocks = update(in_blocks, of, found[start : start + 300])
        assert in_blocks == at_once
        size = sum(len(partial) for _, partial in at_once)
        bound = MAX_DISTINCT if kind == "unique_list" else MAX_FREQUENCIES * len(at_once)
        assert size <= bound


def test_a_full_window_of_distinct_values_keeps_the_newest_thousand() -> None:
    of, found = sampled("unique_list", [f"v{n:04}" for n in range(1500)], {"last_days": 64})
    state = update(EMPTY, of, found)
    kept = value_of("unique_list", state, of, NOW_MS)
    assert isinstance(kept, list)
    assert len(kept) == MAX_DISTINCT
    assert "v0000" in kept
    assert "v1499" not in kept


@given(aggregates(), events(), st.data())
@settings(max_examples=100, deadline=None)
def test_no_value_changes_before_the_instant_that_is_due(
    definition: dict[str, Any], history: list[PastEvent], data: st.DataObject
) -> None:
    of, kind, now = aggregate_of(definition), definition["kind"], NOW_MS
    state = update(EMPTY, of, samples(of, history))
    for _ in range(70):
        due = next_change(state, of, now)
        until = now + 30 * 24 * HOUR_MS if due is None else due - 1
        middle = data.draw(st.integers(now, until))
        for moment in (middle, until):
            assert same(value_of(kind, state, of, moment), value_of(kind, state, of, now))
        if due is None:
            break
        now = due
    else:
        pytest.fail("a bounded state has a bounded number of changes")


def test_days_are_whole_ones_of_24_hours_and_never_negative() -> None:
    since = Since(NOW_MS)
    assert [since.days(NOW_MS + n * 12 * HOUR_MS) for n in (-1, 0, 1, 2, 4)] == [0, 0, 0, 1, 2]
    assert since.next_day(NOW_MS + HOUR_MS) == NOW_MS + 24 * HOUR_MS
    assert Since(NOW_MS + HOUR_MS).next_day(NOW_MS) == NOW_MS + 25 * HOUR_MS


def test_kinds_that_need_the_same_of_events_share_it() -> None:
    ids = [aggregate(kind=kind, property="a").aggregate_id for kind in ("sum", "average", "first")]
    assert ids[0] == ids[1] != ids[2]
    other = [
        aggregate(kind="sum", property="b"),
        aggregate(kind="sum", property="a", window={"last_days": 1}),
        aggregate(kind="sum", property="a.b"),
    ]
    assert len({ids[0], *(of.aggregate_id for of in other)}) == 4


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({"kind": "sum"}, "/property"),
        ({"kind": "sum", "property": ".a"}, "/property"),
        ({"kind": "sum", "property": "a" + ".a" * 10}, "/property"),
        ({"kind": "count", "property": "a"}, "/property"),
        ({"kind": "count", "event": "a\0"}, "/event"),
        ({"kind": "count", "window": {"last_days": 1, "after": "2026-01-01T00:00:00Z"}}, "/window"),
        ({"kind": "count", "where": {"not": True, "rules": []}}, "/where"),
    ],
)
def test_a_definition_that_means_nothing_is_refused_at_its_place(
    definition: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(RuleInvalid) as refused:
        aggregate(**definition)
    assert refused.value.pointer == pointer
