"""The meaning of single tests, written out as a table that people can read."""

from collections import Counter
from typing import Any

import pytest

from services.contracts.rules import Group
from services.rules import Person, RuleInvalid, bucket, compile_filter, evaluate, normalise

MISSING = object()

# operator, literal, the values it holds for, the values it does not hold for
MEANINGS: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("=", 1, [1, 1.0], ["1", True, None, MISSING, [1], {"a": 1}]),
    ("=", True, [True], [1, "true", False, None]),
    ("=", "a", ["a"], ["A", " a", ["a"], None, MISSING]),
    ("=", "é", ["é"], ["e\u0301", "É"]),
    ("!=", "a", ["A", 1, None, MISSING, ["a"]], ["a"]),
    ("<", 2, [1, 1.9, -5], [2, "1", True, None, MISSING]),
    (">=", "b", ["b", "c", "é", "中"], ["a", "B", 2, None]),
    ("between", [1, 3], [1, 2.5, 3], [0, 3.1, "2", None]),
    ("notBetween", [1, 3], [0, 4, "2", None, MISSING], [1, 2, 3]),
    ("between", ["a", "c"], ["a", "b", "c"], ["C", "ca", 1]),
    ("between", [3, 1], [], [1, 2, 3]),
    ("contains", "bc", ["abcd", ["bc", 1]], ["aBCd", ["abcd"], "", None, {"bc": 1}]),
    ("contains", 1, [[1], [1.0, "a"]], [1, "1", [True], ["1"], [[1]]]),
    ("contains", True, [[True]], [True, [1], ["true"]]),
    ("doesNotContain", "a", ["b", None, MISSING, 1, []], ["a", ["a"]]),
    ("beginsWith", "中", ["中文"], ["文中", ["中"], None]),
    ("endsWith", "文", ["中文", "文"], ["文中", None]),
    ("doesNotBeginWith", "a", ["b", None, 1], ["ab"]),
    ("doesNotEndWith", "a", ["ab", None, 1], ["ba"]),
    ("in", [1, "1"], [1, 1.0, "1"], [True, 2, None, [1]]),
    ("in", [True], [True], [1]),
    ("in", [], [], [1, None, MISSING]),
    ("notIn", ["a"], ["b", None, MISSING, ["a"]], ["a"]),
    ("null", None, [None, MISSING], ["", 0, False, [], {}]),
    ("notNull", None, ["", 0, False, [], {}], [None, MISSING]),
    (
        "=",
        {"time": "2026-03-29T01:30:00Z"},
        ["2026-03-29T01:30:00Z", "2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00.000Z"],
        ["2026-03-29T01:30:00", "2026-03-29", "2026-03-29 01:30:00Z", 1774747800, None],
    ),
    (
        "<",
        {"time": "2026-10-25T02:30:00+01:00"},
        ["2026-10-25T02:30:00+02:00", "2024-02-29T00:00:00Z"],
        ["2026-10-25T02:30:00+00:00", "2026-02-29T00:00:00Z", "1"],
    ),
]


@pytest.mark.parametrize(("operator", "literal", "holds", "fails"), MEANINGS)
def test_a_test_means_what_the_table_says(
    operator: str, literal: Any, holds: list[Any], fails: list[Any]
) -> None:
    tree = {"field": "traits.x.y", "operator": operator, "value": literal}
    rule = normalise(tree)
    check = compile_filter({"rules": [{**tree, "field": "properties.x.y"}]})
    for value in [*holds, *fails]:
        document: dict[str, Any] = {"x": {}} if value is MISSING else {"x": {"y": value}}
        expected = any(value is each for each in holds)
        assert evaluate(rule, Person(traits=document), 0) is expected
        assert check(document, {}) is expected


@pytest.mark.parametrize(
    "document", [{}, {"x": None}, {"x": "text"}, {"x": [{"y": 1}]}, {"x.y": 1}]
)
def test_a_path_leads_through_objects_only(document: dict[str, Any]) -> None:
    rule = normalise({"field": "traits.x.y", "operator": "null"})
    assert evaluate(rule, Person(traits=document), 0)


PERSON = Person(
    computed={"orders.total": 3},
    segments=frozenset({"s"}),
    stage="aware",
    consents={"email.marketing": "granted"},
    account={"industry": {"code": 7}},
)


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("computed.orders.total", ">=", 3, True),
        ("segment", "=", "s", True),
        ("segment", "=", "t", False),
        ("segment", "!=", "t", True),
        ("segment", "in", ["s", "t"], True),
        ("segment", "notIn", ["s", "t"], False),
        ("stage", "=", "aware", True),
        ("stage", "notNull", None, True),
        ("stage", "in", ["loyal", "aware"], True),
        ("consent.email.marketing", "=", "granted", True),
        ("consent.sms", "=", "granted", False),
        ("consent.sms", "null", None, True),
        ("account.industry.code", "=", 7, True),
    ],
)
def test_each_source_is_read_where_it_lives(
    field: str, operator: str, value: Any, expected: bool
) -> None:
    rule = normalise({"field": field, "operator": operator, "value": value})
    assert evaluate(rule, PERSON, 0) is expected


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"combinator": "and", "rules": []}, True),
        ({"combinator": "or", "rules": []}, True),
        ({"combinator": "and", "rules": [], "not": True}, False),
        ({"event": "A"}, False),
        ({"event": "A", "did": False}, True),
        ({"event": "A", "count": {"operator": ">=", "value": 0}}, True),
        ({"event": "A", "count": {"operator": "<", "value": 0}}, False),
        ({"event": "A", "count": {"operator": "<=", "value": 2}, "did": False}, False),
    ],
)
def test_a_stranger_who_did_nothing(tree: dict[str, Any], expected: bool) -> None:
    assert evaluate(normalise(tree), Person(), 0) is expected


def test_a_filter_reads_properties_and_context_and_points_into_its_place() -> None:
    where = {
        "combinator": "or",
        "rules": [
            {"field": "properties.total", "operator": ">", "value": 10},
            {"field": "context.page.path", "operator": "beginsWith", "value": "/sale"},
        ],
    }
    check = compile_filter(where)
    assert check({"total": 11}, {})
    assert check({}, {"page": {"path": "/sale/1"}})
    assert not check({"page": {"path": "/sale/1"}}, {"total": 11})
    assert compile_filter(None)({}, {})
    with pytest.raises(RuleInvalid) as refused:
        compile_filter(
            {"rules": [{"field": "traits.a", "operator": "null"}]}, "/nodes/3/event/where"
        )
    assert refused.value.pointer == "/nodes/3/event/where/rules/0/field"


def test_buckets_are_stable_even_and_independent() -> None:
    assert [bucket("s", "1"), bucket("s", "2"), bucket("t", "1")] == [3888, 1451, 3876]
    counts = Counter(bucket("salt", str(i)) // 1000 for i in range(20_000))
    assert min(counts.values()) > 1800
    assert max(counts.values()) < 2200
    both = sum(bucket("a", str(i)) < 5000 and bucket("b", str(i)) < 5000 for i in range(20_000))
    assert 4700 < both < 5300


def test_the_contract_documents_every_kind_of_node() -> None:
    schema = Group.model_json_schema()
    assert {"Group", "EventNode", "Condition", "WhereGroup", "Window"} <= set(schema["$defs"])
    nodes = ("Group", "EventNode", "SequenceNode", "HeldNode", "Condition")
    for name in (*nodes, "Window", "Duration"):
        assert schema["$defs"][name]["examples"]
        for example in schema["$defs"][name]["examples"] if name in nodes else ():
            normalise(example)
