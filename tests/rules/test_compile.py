"""What the compilers write, word for word, and that nothing a person typed is ever in it."""

from typing import Any

import pytest
from hypothesis import given, settings

from services.rules import RuleInvalid, leaf_of, normalise
from services.rules.binds import Binds
from services.rules.compile_clickhouse import (
    EventColumns,
    event_condition,
    filter_condition,
    leaf_state_columns,
    person_condition,
)
from services.rules.compile_postgres import Columns, compile_postgres
from services.rules.instants import PATTERN
from services.rules.normalise import normalise_where
from tests.rules.strategies import NOW_MS, event_nodes, trees


def _test(operator: str, value: Any = None, field: str = "traits.a.b") -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


_A = "(p.traits -> CAST(:p1 AS text) -> CAST(:p2 AS text))"
POSTGRES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        _test("=", "x"),
        f"coalesce({_A} = CAST(CAST(:p3 AS text) AS jsonb), false)",
        {"p1": "a", "p2": "b", "p3": '"x"'},
    ),
    (
        _test("!=", 1),
        f"NOT coalesce({_A} = CAST(CAST(:p3 AS text) AS jsonb), false)",
        {"p1": "a", "p2": "b", "p3": "1"},
    ),
    (
        _test(">", 1.5),
        f"coalesce((jsonb_typeof{_A} = 'number' AND {_A} > CAST(CAST(:p3 AS text) AS jsonb)),"
        " false)",
        {"p1": "a", "p2": "b", "p3": "1.5"},
    ),
    (
        _test("<", "x"),
        f"coalesce((jsonb_typeof{_A} = 'string' AND ({_A} #>> '{{}}') COLLATE \"C\" <"
        " CAST(:p3 AS text)), false)",
        {"p1": "a", "p2": "b", "p3": "x"},
    ),
    (
        _test("notNull"),
        f"NOT coalesce(coalesce(jsonb_typeof{_A} = 'null', true), false)",
        {"p1": "a", "p2": "b"},
    ),
    (
        _test("<", {"time": "2026-01-01T00:00:00Z"}),
        f"coalesce(CASE WHEN jsonb_typeof{_A} = 'string' AND ({_A} #>> '{{}}') ~"
        f" CAST(:p3 AS text) THEN CAST(({_A} #>> '{{}}') AS timestamptz) <"
        " CAST(CAST(:p4 AS text) AS timestamptz) ELSE false END, false)",
        {"p1": "a", "p2": "b", "p3": PATTERN, "p4": "2026-01-01T00:00:00+00:00"},
    ),
    (
        _test("in", ["s", "t"], "segment"),
        "coalesce(p.segments && CAST(:p1 AS text[]), false)",
        {"p1": ["s", "t"]},
    ),
    (
        {"event": "A", "count": {"value": 3}},
        "EXISTS (SELECT 1 FROM leaf_state AS s WHERE s.profile_id = p.profile_id"
        " AND s.leaf_id = CAST(:p2 AS text) AND s.total >= CAST(:p1 AS bigint))",
        {"p1": 3, "p2": leaf_of({"event": "A"}).leaf_id},
    ),
    (
        {"sequence": [{"event": "A"}, {"event": "B"}], "within": {"seconds": 60}},
        "EXISTS (SELECT 1 FROM leaf_state AS s0, LATERAL unnest(s0.recent) AS t0(t),"
        " LATERAL (SELECT min(u.t) AS t FROM leaf_state AS s, unnest(s.recent) AS u(t)"
        " WHERE s.profile_id = p.profile_id AND s.leaf_id = CAST(:p2 AS text) AND u.t > t0.t) AS t1"
        " WHERE s0.profile_id = p.profile_id AND s0.leaf_id = CAST(:p3 AS text)"
        " AND t1.t < t0.t + CAST(:p1 AS bigint))",
        {
            "p1": 60_000,
            "p2": leaf_of({"sequence": [{"event": "B"}] * 2}).leaf_id,
            "p3": leaf_of({"sequence": [{"event": "A"}] * 2}).leaf_id,
        },
    ),
    (
        {"held": {"rules": [_test("=", "s", "segment")]}, "for": {"seconds": 60}},
        "EXISTS (SELECT 1 FROM held AS h WHERE h.profile_id = p.profile_id"
        " AND h.rule_id = CAST(:p2 AS text)"
        " AND h.entered_at <= CAST(CAST(:p1 AS text) AS timestamptz))",
        {"p1": "2026-10-25T00:59:00+00:00", "p2": "s"},
    ),
]


@pytest.mark.parametrize(("tree", "sql", "params"), POSTGRES)
def test_postgres_reads_one_row_per_profile(
    tree: dict[str, Any], sql: str, params: dict[str, Any]
) -> None:
    assert compile_postgres(normalise(tree), NOW_MS) == (sql, params)


_CH_A = "properties, {p1:String}"
CLICKHOUSE: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        _test("=", "x", "properties.a"),
        f"(JSONType({_CH_A}) = 'String' AND JSONExtractString({_CH_A}) = {{p2:String}})",
        {"p1": "a", "p2": "x"},
    ),
    (
        _test("=", True, "properties.a"),
        f"(JSONType({_CH_A}) = 'Bool' AND JSONExtractBool({_CH_A}) = 1)",
        {"p1": "a"},
    ),
    (
        _test("<=", 2, "properties.a"),
        f"(JSONType({_CH_A}) IN ('Int64', 'UInt64', 'Double') AND"
        f" JSONExtractFloat({_CH_A}) <= {{p2:Float64}})",
        {"p1": "a", "p2": 2.0},
    ),
    (
        _test("notNull", None, "context.page.url"),
        "NOT (JSONType(context, {p1:String}, {p2:String}) = 'Null')",
        {"p1": "page", "p2": "url"},
    ),
    (
        _test("in", ["x", "y"], "properties.a"),
        f"((JSONType({_CH_A}) = 'String' AND"
        f" has(JSONExtract({{p2:String}}, 'Array(String)'), JSONExtractString({_CH_A}))))",
        {"p1": "a", "p2": '["x", "y"]'},
    ),
]


@pytest.mark.parametrize(("tree", "sql", "params"), CLICKHOUSE)
def test_clickhouse_reads_json_text(tree: dict[str, Any], sql: str, params: dict[str, Any]) -> None:
    assert filter_condition(normalise_where(tree)) == (sql, params)


def test_a_leaf_is_a_condition_on_rows() -> None:
    leaf = leaf_of({"event": "A", "window": {"last_days": 1}})
    columns = EventColumns(event="e.event", occurred_at="e.occurred_at")
    assert event_condition(leaf, NOW_MS, columns=columns, prefix="leaf") == (
        "(e.event = {leaf1:String} AND"
        " e.occurred_at >= fromUnixTimestamp64Milli({leaf2:Int64}, 'UTC'))",
        {"leaf1": "A", "leaf2": NOW_MS - 86_400_000 + 1},
    )
    assert event_condition(leaf) == ("(event = {p1:String})", {"p1": "A"})
    assert "groupArraySorted(1)(-toUnixTimestamp64Milli(occurred_at))" in leaf_state_columns(leaf)


def test_a_person_is_a_condition_on_groups() -> None:
    rule = normalise({"event": "A", "count": {"operator": "<", "value": 2}})
    assert person_condition(rule, NOW_MS) == (
        "NOT (countIf((event = {p2:String})) >= {p1:UInt64})",
        {"p1": 2, "p2": "A"},
        ("A",),
    )


@pytest.mark.parametrize(
    "tree", [_test("=", 1), {"held": {"rules": [{"event": "A"}]}, "for": {"days": 1}}]
)
def test_clickhouse_refuses_what_only_profiles_know(tree: dict[str, Any]) -> None:
    with pytest.raises(RuleInvalid, match="only events are known"):
        person_condition(normalise(tree), NOW_MS)


def test_columns_are_the_services_own_words() -> None:
    sql, _ = compile_postgres(
        normalise(_test("=", "x", "stage")), NOW_MS, columns=Columns(stage="s.stage_id")
    )
    assert sql == "coalesce(s.stage_id = CAST(:p1 AS text), false)"


def test_a_prefix_is_letters_only() -> None:
    with pytest.raises(ValueError, match="small letters"):
        Binds.start("p; DROP TABLE profile")


_NASTY = "zqx' OR 1=1 --{p1:String}:p1\\"


@pytest.mark.parametrize(
    "operator", ["=", "<", "contains", "beginsWith", "endsWith", "in", "between"]
)
def test_nothing_typed_by_a_person_reaches_the_sql(operator: str) -> None:
    value: Any = {"in": [_NASTY, "b"], "between": [_NASTY, _NASTY]}.get(operator, _NASTY)
    tree = _test(operator, value, f"properties.{_NASTY}")
    leaf = leaf_of({"event": _NASTY, "where": {"rules": [tree]}})
    known = [
        _test(operator, value, f"traits.{_NASTY}"),
        _test("=", _NASTY, f"consent.{_NASTY}"),
        _test("=", _NASTY, f"computed.{_NASTY}"),
        _test("=", _NASTY, "segment"),
        _test("=", _NASTY, "stage"),
        {"event": _NASTY, "where": {"rules": [tree]}},
        _test("<", 5000, f"bucket.{_NASTY}"),
        {"held": {"rules": [_test("=", _NASTY, "segment")]}, "for": {"days": 1}},
        {"sequence": [{"event": _NASTY, "where": {"rules": [tree]}}, {"event": _NASTY}]},
    ]
    rule = normalise({"rules": known})
    assert "zqx" not in compile_postgres(rule, NOW_MS).sql
    assert "zqx" not in event_condition(leaf, NOW_MS).sql
    of_events = {"rules": [n for n in known if "event" in n or "sequence" in n]}
    drawn = {"rules": [_test("<", 5000, f"bucket.{_NASTY}"), of_events]}
    assert "zqx" not in person_condition(normalise(drawn), NOW_MS).having


@given(trees(event_nodes()))
@settings(max_examples=50, deadline=None)
def test_compiling_is_deterministic(tree: Any) -> None:
    once, twice = normalise(tree), normalise(tree)
    assert compile_postgres(once, NOW_MS) == compile_postgres(twice, NOW_MS)
    assert person_condition(once, NOW_MS) == person_condition(twice, NOW_MS)
