"""What the compiler of computed traits writes, word for word, and that nothing typed is in it."""

from typing import Any

import pytest
from hypothesis import given, settings

from services.rules.aggregates import aggregate_of
from services.rules.compile_aggregates import state_query
from tests.rules.strategies import aggregates

ROWS = (
    "SELECT * FROM (SELECT profile_id AS a_person, toUnixTimestamp64Milli(occurred_at) AS a_time,"
)
SQL: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {"kind": "count"},
        "SELECT a_person AS person, toJSONString(arrayFilter(a -> a.1 > arrayMax(b -> b.1, a_parts)"
        " - 66, a_parts)) AS state FROM (SELECT a_person, groupArray((a_index, a_part)) AS a_parts"
        " FROM (SELECT a_person, a_index, (count(), min(a_time), max(a_time)) AS a_part FROM"
        " ($ROWS toInt64(0) AS a_index FROM events WHERE (event = {p1:String}) AND true)"
        " WHERE true) GROUP BY a_person, a_index) GROUP BY a_person)",
        {"p1": "A"},
    ),
    (
        {"kind": "unique_count", "property": "x.y", "window": {"last_seconds": 64}},
        "SELECT a_person AS person, toJSONString(arrayMap(i -> (-i, arrayMap(v -> v.2, arrayFilter("
        "v -> v.1 = i, a_values))), arrayFilter(i -> -i > -a_values[1].1 - 66, arrayDistinct("
        "arrayMap(v -> v.1, a_values))))) AS state FROM (SELECT a_person, groupArraySorted(1000)(("
        "-a_newest, a_value)) AS a_values FROM (SELECT a_person, (a_kind, a_text, a_number) AS"
        " a_value, max(a_index) AS a_newest FROM ($ROWS toInt64(floor(a_time / 1000)) AS a_index,"
        " multiIf(JSONType(properties, {p_v_1:String}, {p_v_2:String}) = 'String', 's', JSONType("
        "properties, {p_v_1:String}, {p_v_2:String}) IN ('Int64', 'UInt64', 'Double'), 'n',"
        " JSONType(properties, {p_v_1:String}, {p_v_2:String}) = 'Bool', 'b', '') AS a_kind,"
        " if(a_kind = 's', JSONExtractString(properties, {p_v_1:String}, {p_v_2:String}), '')"
        " AS a_text,"
        " multiIf(a_kind = 'n', JSONExtractFloat(properties, {p_v_1:String}, {p_v_2:String}) + 0,"
        " a_kind = 'b', toFloat64(JSONExtractBool(properties, {p_v_1:String}, {p_v_2:String})), 0)"
        " AS a_number FROM events WHERE (event = {p1:String}) AND true) WHERE a_kind != '' AND"
        " lengthUTF8(a_text) <= 500 AND abs(a_number) < 9007199254740992) GROUP BY a_person,"
        " a_value) GROUP BY a_person)",
        {"p1": "A", "p_v_1": "x", "p_v_2": "y"},
    ),
]


@pytest.mark.parametrize(("definition", "sql", "params"), SQL)
def test_clickhouse_makes_one_row_per_person(
    definition: dict[str, Any], sql: str, params: dict[str, Any]
) -> None:
    assert state_query(aggregate_of({"event": "A", **definition}), "events") == (
        sql.replace("$ROWS", ROWS),
        params,
    )


@given(aggregates())
@settings(max_examples=100, deadline=None)
def test_nothing_a_person_typed_is_ever_in_the_statement(definition: dict[str, Any]) -> None:
    marked = {**definition, "event": "MARK\u0027; DROP"}
    if "property" in definition:
        marked["property"] = "MARK.\u0027"
    assert "MARK" not in state_query(aggregate_of(marked), "events").sql
