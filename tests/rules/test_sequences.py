"""Steps in order, what never followed and what has held: tables and the instants of change."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.rules import EMPTY, Person, evaluate, held, next_due, normalise, update
from services.rules.memory import PastEvent, evaluate_events, with_events
from tests.rules.strategies import NOW_MS, SPANS_S, durations, is_rule, sequence_nodes, trees

HOUR = 3600
VIEWED_THEN_BOUGHT: dict[str, Any] = {"sequence": [{"event": "View"}, {"event": "Buy"}]}
NEVER_BOUGHT: dict[str, Any] = {"sequence": [{"event": "View"}, {"event": "Buy", "did": False}]}
WITHIN = {"within": {"seconds": HOUR}}
LAST_DAY = {"window": {"last_days": 1}}
THREE: dict[str, Any] = {"sequence": [{"event": "View"}, {"event": "Cart"}, {"event": "Buy"}]}
GIVEN_UP: dict[str, Any] = {
    "sequence": [{"event": "View"}, {"event": "Cart"}, {"event": "Buy", "did": False}]
}
PAID = {"rules": [{"field": "properties.paid", "operator": "=", "value": True}]}


def history(*events: tuple[str, int]) -> list[PastEvent]:
    """(name, seconds ago)."""
    return [PastEvent(name, {}, {}, NOW_MS - 1000 * age) for name, age in events]


CASES: list[tuple[str, dict[str, Any], list[tuple[str, int]], bool]] = [
    ("in order", VIEWED_THEN_BOUGHT, [("View", 20), ("Buy", 10)], True),
    ("the other way round", VIEWED_THEN_BOUGHT, [("View", 10), ("Buy", 20)], False),
    ("at the same moment", VIEWED_THEN_BOUGHT, [("View", 10), ("Buy", 10)], False),
    ("one alone", VIEWED_THEN_BOUGHT, [("View", 10)], False),
    ("whole opposite", {**VIEWED_THEN_BOUGHT, "did": False}, [("View", 10)], True),
    ("one event is not two steps", {"sequence": [{"event": "A"}] * 2}, [("A", 5)], False),
    ("the same name twice", {"sequence": [{"event": "A"}] * 2}, [("A", 5), ("A", 4)], True),
    ("in time", VIEWED_THEN_BOUGHT | WITHIN, [("View", HOUR + 8), ("Buy", 9)], True),
    ("not in time", VIEWED_THEN_BOUGHT | WITHIN, [("View", HOUR + 9), ("Buy", 9)], False),
    ("a later start", VIEWED_THEN_BOUGHT | WITHIN, [("View", 9999), ("View", 9), ("Buy", 1)], True),
    ("in the window", VIEWED_THEN_BOUGHT | LAST_DAY, [("View", 86_399), ("Buy", 1)], True),
    ("a first step before", VIEWED_THEN_BOUGHT | LAST_DAY, [("View", 86_400), ("Buy", 1)], False),
    ("a filter", {"sequence": [{"event": "A", "where": PAID}, {"event": "B"}]}, [("A", 2)], False),
    ("three", THREE, [("View", 30), ("Cart", 20), ("Buy", 10)], True),
    ("two of three", THREE, [("View", 30), ("Buy", 20), ("Cart", 10)], False),
    ("an early middle one", THREE, [("Cart", 40), ("View", 30), ("Cart", 20), ("Buy", 10)], True),
    ("never since", NEVER_BOUGHT, [("Buy", 20), ("View", 10)], True),
    ("but then", NEVER_BOUGHT, [("View", 20), ("Buy", 10)], False),
    ("nothing at all", NEVER_BOUGHT, [], False),
    ("still time", NEVER_BOUGHT | WITHIN, [("View", HOUR - 1)], False),
    ("time is over", NEVER_BOUGHT | WITHIN, [("View", HOUR)], True),
    ("just in time", NEVER_BOUGHT | WITHIN, [("View", HOUR + 9), ("Buy", 10)], False),
    ("just too late", NEVER_BOUGHT | WITHIN, [("View", HOUR + 9), ("Buy", 9)], True),
    ("a second try", NEVER_BOUGHT | WITHIN, [("View", 9999), ("Buy", 9998), ("View", 5000)], True),
    ("gave up", GIVEN_UP, [("View", 30), ("Cart", 20)], True),
    ("no cart", GIVEN_UP, [("View", 30)], False),
    ("came back", GIVEN_UP, [("View", 40), ("Cart", 30), ("Buy", 20), ("Cart", 10)], True),
    ("bought last", GIVEN_UP, [("View", 40), ("Cart", 30), ("Cart", 20), ("Buy", 10)], False),
]


@pytest.mark.parametrize(
    ("tree", "events", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_sequence_means_what_the_table_says(
    tree: dict[str, Any], events: list[tuple[str, int]], expected: bool
) -> None:
    rule, past = normalise(tree), history(*events)
    assert evaluate(rule, with_events(Person(), rule, past), NOW_MS) is expected
    assert evaluate_events(rule, Person(), past, NOW_MS) is expected


def test_the_window_holds_the_steps_and_what_did_not_follow_is_looked_for_beyond_it() -> None:
    window = {"window": {"before": "2026-10-25T00:00:00Z"}}
    midnight = NOW_MS // 1000 - 1_792_886_400
    late = history(("View", midnight + 1), ("Buy", midnight - 1))
    for tree, expected in ((VIEWED_THEN_BOUGHT, False), (NEVER_BOUGHT, False)):
        rule = normalise(tree | WITHIN | window)
        assert evaluate(rule, with_events(Person(), rule, late), NOW_MS) is expected


def test_who_did_it_too_often_is_never_said_not_to_have_done_it() -> None:
    rule = normalise(NEVER_BOUGHT | WITHIN)
    bought = [("Buy", 20_000), *[("Buy", 100 - i) for i in range(64)]]
    past = history(("View", 20_001), *bought)
    assert not evaluate(rule, with_events(Person(), rule, past), NOW_MS)
    once_less = history(("View", 20_001), *bought[1:])
    assert evaluate(rule, with_events(Person(), rule, once_less), NOW_MS)


def test_what_did_not_follow_is_due_when_its_time_is_over() -> None:
    rule = normalise(NEVER_BOUGHT | WITHIN | LAST_DAY)
    person = with_events(Person(), rule, history(("View", 600)))
    states, viewed = person.leaf_states, NOW_MS - 600_000
    assert next_due(rule, states, NOW_MS) == viewed + 3_600_000
    assert next_due(rule, states, viewed + 3_600_000) == viewed + 86_400_000
    assert next_due(rule, states, viewed + 86_400_000) is None


def test_a_sequence_ends_when_its_latest_start_leaves_the_window() -> None:
    rule = normalise(VIEWED_THEN_BOUGHT | LAST_DAY)
    person = with_events(Person(), rule, history(("View", 900), ("View", 600), ("Buy", 300)))
    assert next_due(rule, person.leaf_states, NOW_MS) == NOW_MS - 600_000 + 86_400_000


HELD = {"held": {"rules": [{"field": "traits.a", "operator": "=", "value": 1}]}}


def test_something_has_held_once_its_time_is_reached() -> None:
    rule = normalise({**HELD, "for": {"days": 2}})
    (node,) = held(rule)
    person = Person(traits={"a": 1}, since={node.key: NOW_MS})
    assert not evaluate(rule, Person(traits={"a": 1}), NOW_MS)
    assert not evaluate(rule, person, NOW_MS + 2 * 86_400_000 - 1)
    assert evaluate(rule, person, NOW_MS + 2 * 86_400_000)
    assert next_due(rule, {}, NOW_MS, person.since) == NOW_MS + 2 * 86_400_000


@given(
    trees(
        st.one_of(
            sequence_nodes().filter(is_rule), st.builds(lambda d: {**HELD, "for": d}, durations)
        )
    ),
    st.data(),
)
@settings(max_examples=100, deadline=None)
def test_no_truth_changes_before_the_instant_that_is_due(tree: Any, data: st.DataObject) -> None:
    rule = normalise(tree)
    ages = st.lists(st.sampled_from(SPANS_S), max_size=6)
    states = {
        leaf.leaf_id: update(EMPTY, leaf, [NOW_MS - 1000 * age for age in data.draw(ages)])
        for leaf in rule.leaves
    }
    since = {node.key: NOW_MS - 60_000 for node in held(rule)}
    person, now = Person(traits={"a": 1}, leaf_states=states, since=since), NOW_MS
    while (due := next_due(rule, states, now, person.since)) is not None:
        assert due > now
        assert evaluate(rule, person, due - 1) == evaluate(rule, person, now)
        now = due
    assert evaluate(rule, person, now + 30 * 86_400_000) == evaluate(rule, person, now)
