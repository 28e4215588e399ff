"""Every operator with every awkward literal on every awkward value, in all three evaluators."""

from itertools import product
from typing import Any

import pytest

from services.rules import Person, RuleInvalid, compile_memory, evaluate_events, normalise
from services.rules.compile_clickhouse import filter_condition, person_condition
from services.rules.compile_postgres import compile_postgres
from services.rules.memory import PastEvent, with_events
from services.rules.normalise import normalise_where
from tests.rules.stores import ClickHouseEvents, PostgresPeople, prefixes
from tests.rules.strategies import DATA_NUMBERS, INSTANTS, NOW_MS, NUMBERS, TEXTS, Tree

_INSTANTS: list[Any] = [{"time": text} for text in INSTANTS]
_LITERALS: list[Any] = [*TEXTS, *NUMBERS, True, False, *_INSTANTS]
_PAIRS = [
    [a, b]
    for kind in (TEXTS[:12], NUMBERS, _INSTANTS)
    for a, b in zip(kind[:-2], kind[2:], strict=True)
]
_LISTS = [[], TEXTS, NUMBERS, [True], [False, "a"], [1, "1", True], ["中文", "e\u0301", 0.3]]
_SINGLE = ["=", "<", "<=", ">", ">=", "contains", "beginsWith", "endsWith"]
_OPERANDS = [*product(_SINGLE, _LITERALS), *product(["in"], _LISTS), *product(["between"], _PAIRS)]

_VALUES: list[Any] = [*TEXTS, *DATA_NUMBERS, True, False, None]
_VALUES += [[], {}, [None], [[1]], {"a": 1}, *([each] for each in _VALUES), [1, "a", True, "中文"]]
_PEOPLE = [Person(), *(Person(traits={"a": value}) for value in _VALUES)]


def _conditions() -> list[Tree]:
    """The valid ones of all operators with all literals, and the two that need none."""
    found: list[Tree] = [{"field": "traits.a", "operator": "null"}]
    found.append({"field": "traits.a", "operator": "notNull"})
    for operator, value in _OPERANDS:
        tree = {"field": "traits.a", "operator": operator, "value": value}
        try:
            normalise(tree)
        except RuleInvalid:
            continue
        found.append(tree)
    return found


_CONDITIONS = _conditions()
_CHUNK = 60


@pytest.mark.parametrize("start", range(0, len(_CONDITIONS), _CHUNK))
def test_every_operator_and_value_agree(
    people_store: PostgresPeople, event_store: ClickHouseEvents, start: int
) -> None:
    conditions = _CONDITIONS[start : start + _CHUNK]
    rules = [normalise(tree) for tree in conditions]
    expected = [[compile_memory(rule)(person, NOW_MS) for person in _PEOPLE] for rule in rules]
    names = prefixes(len(rules))
    compiled = [compile_postgres(r, NOW_MS, prefix=n) for r, n in zip(rules, names, strict=True)]
    in_postgres = people_store.ask(_PEOPLE, compiled)
    wheres = [normalise_where({**tree, "field": "properties.a"}) for tree in conditions]
    in_clickhouse = event_store.matches(
        [PastEvent("e", person.traits, {}, 0) for person in _PEOPLE],
        [filter_condition(w, prefix=n) for w, n in zip(wheres, names, strict=True)],
    )
    assert _differing(conditions, expected, in_postgres) == []
    assert _differing(conditions, expected, in_clickhouse) == []


def _differing(
    conditions: list[Tree], expected: list[list[bool]], found: list[list[bool]]
) -> list[tuple[Tree, Any, bool]]:
    return [
        (tree, person.traits, holds)
        for tree, row, other in zip(conditions, expected, found, strict=True)
        for person, holds, answer in zip(_PEOPLE, row, other, strict=True)
        if holds is not answer
    ]


_DAY_MS = 86_400_000
_SPANS_S = [1, 60, 61, 86_400, 7 * 86_400]
_AGES_MS = [0, 1, *(1000 * span + d for span in _SPANS_S for d in (-1, 0, 1)), 30 * _DAY_MS]
_FIXED = [
    {"after": "2026-10-24T01:00:00Z"},
    {"before": "2026-10-25T00:59:00Z"},
    {"after": "2026-10-18T01:00:00Z", "before": "2026-10-25T00:59:59Z"},
]
_WINDOWS: list[Any] = [None, *({"last_seconds": span} for span in _SPANS_S), *_FIXED]
_EVENT_RULES: list[Tree] = [
    {"event": "A", "window": window, "count": {"operator": "=", "value": n}}
    for window, n in product(_WINDOWS, [1, 2, 8, 9, 63, 64, 65, 66, 70])
]


def _history(ages_ms: list[int]) -> list[PastEvent]:
    return [PastEvent("A", {}, {}, NOW_MS - age) for age in ages_ms]


# Alone, in pairs, and in crowds of which one is at an edge and the others spread over a week.
_HISTORIES = [
    [],
    *([_history([age]) for age in _AGES_MS]),
    *([_history([age, 0]) for age in _AGES_MS]),
    *([_history([age, *range(0, 63 * 997, 997)]) for age in _AGES_MS]),
    *([_history([*[age] * 2, *range(0, 64 * 997, 997)]) for age in _AGES_MS]),
    *([_history([7 * _DAY_MS - i * 500_000 for i in range(70)])]),
    *([_history([7 * _DAY_MS - shift * 700_000 for _ in range(66)]) for shift in range(-15, 15)]),
]


@pytest.mark.parametrize("start", range(0, len(_EVENT_RULES), 27))
def test_every_window_and_count_agree(
    people_store: PostgresPeople, event_store: ClickHouseEvents, start: int
) -> None:
    rules = [normalise(tree) for tree in _EVENT_RULES[start : start + 27]]
    expected = [
        [evaluate_events(rule, Person(), history, NOW_MS) for history in _HISTORIES]
        for rule in rules
    ]
    people = [_with_all(rules, history) for history in _HISTORIES]
    assert [[compile_memory(rule)(p, NOW_MS) for p in people] for rule in rules] == expected
    names = prefixes(len(rules))
    compiled = [compile_postgres(r, NOW_MS, prefix=n) for r, n in zip(rules, names, strict=True)]
    assert people_store.ask(people, compiled) == expected
    having = [person_condition(r, NOW_MS, prefix=n) for r, n in zip(rules, names, strict=True)]
    assert event_store.people_hold(_HISTORIES, having) == expected


def _with_all(rules: list[Any], history: list[PastEvent]) -> Person:
    states: dict[str, Any] = {}
    for rule in rules:
        states |= with_events(Person(), rule, history).leaf_states
    return Person(leaf_states=states)
