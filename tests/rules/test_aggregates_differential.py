"""Computed traits: one value from live states, from states made by ClickHouse, from raw events.

The long run (at least 5,000 random definitions, each over several people) is
`WAYMARK_RULE_CASES=5000 pytest tests/rules/test_aggregates_differential.py`.
"""

import os
from collections import Counter
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.contracts.computed import AggregateKind
from services.rules.aggregates import (
    EMPTY,
    FAMILY_OF,
    Aggregate,
    Since,
    State,
    aggregate_of,
    from_json,
    update,
    value_of,
)
from services.rules.compile_aggregates import state_query
from services.rules.filters import filter_of
from services.rules.memory import PastEvent
from services.rules.values import look_up
from tests.rules.live import same, samples
from tests.rules.stores import ClickHouseEvents
from tests.rules.strategies import NOW_MS, aggregates, events

CASES = int(os.environ.get("WAYMARK_RULE_CASES", "600"))  # noqa: TID251 (a test has no settings)
PER_EXAMPLE = 10

_slow = settings(
    max_examples=max(1, CASES // PER_EXAMPLE),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=CASES <= 1000,
    # No shrinking: with a query per definition it takes minutes and the failing one is printed.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def brute_force(kind: AggregateKind, of: Aggregate, history: list[PastEvent]) -> Any:
    """The value from raw events, as plainly as it can be said."""
    matches, leaf = filter_of(of.leaf.where), of.leaf
    held: list[tuple[int, Any]] = []
    for event in history:
        if event.event != leaf.event or not matches(event.properties, event.context):
            continue
        time = event.time_ms
        if leaf.last_ms is not None:
            last_of_part = time - time % leaf.width_ms + leaf.width_ms - 1
            if last_of_part <= NOW_MS - leaf.last_ms:
                continue
        elif (leaf.after_ms is not None and time < leaf.after_ms) or (
            leaf.before_ms is not None and time >= leaf.before_ms
        ):
            continue
        held.append((time, look_up(event.properties, of.path)))
    if FAMILY_OF[kind] == "moments":
        return _of_times(kind, [time for time, _ in held])
    if FAMILY_OF[kind] == "numbers":
        return _of_numbers(kind, [v for _, v in held if _is_number(v)])
    return _of_values(kind, [(t, v) for t, v in held if _is_number(v) or type(v) in (str, bool)])


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**53


def _of_times(kind: AggregateKind, times: list[int]) -> Any:
    if not times:
        return None
    if kind == "count":
        return len(times)
    return Since(min(times) if kind == "days_since_first" else max(times))


def _of_numbers(kind: AggregateKind, values: list[float]) -> Any:
    if not values:
        return None
    if kind in ("min", "max"):
        return min(values) if kind == "min" else max(values)
    total = sum(int(value) + Fraction(round((value - int(value)) * 1e6), 10**6) for value in values)
    return float(total if kind == "sum" else total / len(values))


def _order(value: Any) -> Any:
    return ("bool" if type(value) is bool else "str" if type(value) is str else "number"), value


def _of_values(kind: AggregateKind, values: list[tuple[int, Any]]) -> Any:
    if not values:
        return None
    ordered = sorted((time, _order(value)) for time, value in values)
    if kind in ("first", "last"):
        return ordered[0 if kind == "first" else -1][1][1]
    counts = Counter(_order(value) for _, value in values)
    if kind == "most_frequent":
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[0][0][1]
    return len(counts) if kind == "unique_count" else [value for _, value in sorted(counts)]


def stored_states(
    store: ClickHouseEvents, of: Aggregate, histories: list[list[PastEvent]]
) -> dict[int, State]:
    query = state_query(of, "$EVENTS", person="person")
    rows = store.ask_rows(histories, query.sql, query.params)
    return {person: from_json(state, of) for person, state in rows}


@given(
    st.lists(aggregates(), min_size=PER_EXAMPLE, max_size=PER_EXAMPLE),
    st.lists(events(), min_size=1, max_size=4),
)
@_slow
def test_a_trait_is_worth_the_same_live_backfilled_and_counted_by_hand(
    event_store: ClickHouseEvents, found: list[Any], histories: list[list[PastEvent]]
) -> None:
    for definition in found:
        of, kind = aggregate_of(definition), definition["kind"]
        live = {
            person: state
            for person, history in enumerate(histories)
            if (state := update(EMPTY, of, samples(of, history)))
        }
        assert stored_states(event_store, of, histories) == live
        for person, history in enumerate(histories):
            value = value_of(kind, live.get(person, EMPTY), of, NOW_MS)
            assert same(value, brute_force(kind, of, history)), (definition, value)
