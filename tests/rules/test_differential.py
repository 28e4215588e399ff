"""One meaning of a rule: memory, raw events, PostgreSQL and ClickHouse never differ.

The long run, 20,000 random rules, each over several people, is `make differential`.
"""

import os
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.rules import LeafState, Person, compile_memory, evaluate_events, normalise
from services.rules.compile_clickhouse import (
    EventColumns,
    event_condition,
    filter_condition,
    leaf_state_columns,
    person_condition,
)
from services.rules.compile_postgres import compile_postgres
from services.rules.filters import filter_of
from services.rules.memory import PastEvent, with_events
from services.rules.normalise import normalise_where
from tests.rules.stores import ClickHouseEvents, PostgresPeople, prefixes
from tests.rules.strategies import (
    NOW_MS,
    PATHS,
    SPANS_S,
    conditions,
    documents,
    durations,
    event_nodes,
    events,
    held_keys,
    is_rule,
    sequence_nodes,
    trees,
)

CASES = int(os.environ.get("WAYMARK_RULE_CASES", "400"))  # noqa: TID251 (a test has no settings)
PER_EXAMPLE = 10

_slow = settings(
    max_examples=max(1, CASES // (2 * PER_EXAMPLE)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=CASES <= 1000,
)

trait_trees = trees(conditions([f"traits.{path}" for path in PATHS]))
names = st.sampled_from(["vip", "new", "中文"])
profile_trees = trees(
    st.one_of(
        conditions([f"traits.{path}" for path in PATHS]),
        conditions(["computed.a", "account.a.b"]),
        st.builds(
            lambda field, operator, value: {"field": field, "operator": operator, "value": value},
            st.sampled_from(["segment", "stage", "consent.marketing"]),
            st.sampled_from(["=", "!="]),
            names,
        ),
        st.builds(
            lambda field, operator, value: {"field": field, "operator": operator, "value": value},
            st.sampled_from(["segment", "stage", "consent.marketing"]),
            st.sampled_from(["in", "notIn"]),
            st.lists(names, max_size=3),
        ),
        st.builds(
            lambda field, operator: {"field": field, "operator": operator},
            st.sampled_from(["stage", "consent.marketing"]),
            st.sampled_from(["null", "notNull"]),
        ),
    )
)
buckets = st.builds(
    lambda operator, value: {"field": "bucket.盐", "operator": operator, "value": value},
    st.sampled_from(["<", "<=", ">", ">="]),
    st.sampled_from([0, 2500, 5000, 7500, 10_000]),
)
held_nodes = st.builds(
    lambda inner, length: {"held": inner, "for": length}, profile_trees, durations
)
language = trees(st.one_of(profile_trees, held_nodes, buckets)).filter(is_rule)
people = st.builds(
    Person,
    traits=documents,
    computed=documents,
    account=documents,
    segments=st.frozensets(names),
    stage=st.one_of(st.none(), names),
    consents=st.dictionaries(st.just("marketing"), names),
)


past_nodes = st.one_of(event_nodes(), sequence_nodes().filter(is_rule))
past_rules = trees(st.one_of(past_nodes, sequence_nodes().filter(is_rule), buckets)).filter(is_rule)
BY_PERSON = EventColumns(person="toString(person)")


@given(
    st.lists(language, min_size=PER_EXAMPLE // 2, max_size=PER_EXAMPLE // 2),
    st.lists(trait_trees, min_size=PER_EXAMPLE // 2, max_size=PER_EXAMPLE // 2),
    st.lists(people, min_size=3, max_size=8),
    st.lists(st.one_of(st.none(), st.sampled_from(SPANS_S)), min_size=8, max_size=8),
)
@_slow
def test_a_document_matches_alike_in_memory_postgres_and_clickhouse(
    people_store: PostgresPeople,
    event_store: ClickHouseEvents,
    tally: Counter[str],
    rules: list[Any],
    filters: list[Any],
    persons: list[Person],
    held_s: list[int | None],
) -> None:
    normal = [normalise(tree) for tree in [*rules, *filters]]
    keys = sorted(held_keys(rules))
    for i, person in enumerate(persons):
        person.profile_id = str(i)
        lengths = zip(keys, held_s[i:] + held_s[:i], strict=False)
        person.since = {key: NOW_MS - 1000 * s for key, s in lengths if s is not None}
    expected = [[compile_memory(rule)(person, NOW_MS) for person in persons] for rule in normal]
    names = prefixes(len(normal))
    compiled = [compile_postgres(r, NOW_MS, prefix=n) for r, n in zip(normal, names, strict=True)]
    assert people_store.ask(persons, compiled) == expected

    wheres = [normalise_where(_of_properties(tree)) for tree in filters]
    found = [[filter_of(where)(person.traits, {}) for person in persons] for where in wheres]
    assert found == expected[len(rules) :]
    in_clickhouse = event_store.matches(
        [PastEvent("e", person.traits, {}, 0) for person in persons],
        [filter_condition(w, prefix=n) for w, n in zip(wheres, names, strict=False)],
    )
    assert in_clickhouse == found
    _count(tally, "fields", expected)


@given(
    st.lists(past_rules, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE),
    st.lists(events(), min_size=2, max_size=5),
)
@_slow
def test_events_count_alike_in_memory_postgres_and_clickhouse(
    people_store: PostgresPeople,
    event_store: ClickHouseEvents,
    tally: Counter[str],
    trees_: list[Any],
    histories: list[list[PastEvent]],
) -> None:
    rules = [normalise(tree) for tree in trees_]
    expected = [
        [
            evaluate_events(rule, Person(profile_id=str(i)), h, NOW_MS)
            for i, h in enumerate(histories)
        ]
        for rule in rules
    ]
    persons = [Person() for _ in histories]
    for i, history in enumerate(histories):
        states: dict[str, LeafState] = {}
        for rule in rules:
            states |= with_events(Person(), rule, history).leaf_states
        persons[i] = Person(leaf_states=states, profile_id=str(i))
    memory = [[compile_memory(rule)(person, NOW_MS) for person in persons] for rule in rules]
    assert memory == expected

    names = prefixes(len(rules))
    compiled = [compile_postgres(r, NOW_MS, prefix=n) for r, n in zip(rules, names, strict=True)]
    assert people_store.ask(persons, compiled) == expected
    having = [
        person_condition(r, NOW_MS, columns=BY_PERSON, prefix=n)
        for r, n in zip(rules, names, strict=True)
    ]
    assert event_store.people_hold(histories, having) == expected
    _count(tally, "events", expected)


@given(st.lists(past_nodes, min_size=1, max_size=3), st.lists(events(), min_size=1, max_size=3))
@settings(_slow, max_examples=max(1, CASES // 20))
def test_a_backfilled_leaf_state_is_the_one_that_live_events_give(
    event_store: ClickHouseEvents, nodes: list[Any], histories: list[list[PastEvent]]
) -> None:
    rule = normalise({"combinator": "or", "rules": nodes})
    for leaf in rule.leaves:
        condition = event_condition(leaf)
        rows = event_store.ask_rows(
            histories,
            f"SELECT person, {leaf_state_columns(leaf)} FROM $EVENTS"  # noqa: S608
            f" WHERE {condition.sql} GROUP BY person ORDER BY person",
            condition.params,
        )
        found = {row[0]: LeafState.from_wire(row[1:]) for row in rows}
        live = {
            i: state
            for i, history in enumerate(histories)
            if (state := with_events(Person(), rule, history).leaf_states[leaf.leaf_id]).total
        }
        assert found == live


def _count(tally: Counter[str], about: str, answers: list[list[bool]]) -> None:
    tally[f"rules over {about}"] += len(answers)
    tally[f"answers over {about}"] += sum(map(len, answers))
    tally[f"of which true, over {about}"] += sum(map(sum, answers))


def _of_properties(tree: dict[str, Any]) -> dict[str, Any]:
    if "field" in tree:
        return {**tree, "field": tree["field"].replace("traits.", "properties.", 1)}
    return {**tree, "rules": [_of_properties(child) for child in tree["rules"]]}
