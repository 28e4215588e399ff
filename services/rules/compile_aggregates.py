"""Aggregates as ClickHouse statements over a table of raw events: the states for a backfill."""

from services.rules.aggregates import Aggregate
from services.rules.binds import Binds, Compiled
from services.rules.compile_clickhouse import DEFAULT, EventColumns, event_condition
from services.rules.leaves import MAX_BUCKETS
from services.rules.partials import (
    MAX_DISTINCT,
    MAX_FREQUENCIES,
    MAX_NUMBER,
    MAX_TEXT,
    SCALE,
    Family,
)

# S608 sees SQL being formatted in this file: fragments and numbers are ours, what a person typed
# is bound.
_NUMBER = "('Int64', 'UInt64', 'Double')"
_VALUE = "(a_kind, a_text, a_number)"
_PARTS: dict[Family, str] = {
    "moments": "(count(), min(a_time), max(a_time))",
    "numbers": f"(count(), toString(sum(toInt128(toInt64(trunc(a_number))) * {SCALE}"
    f" + toInt64(round((a_number - trunc(a_number)) * {SCALE})))), min(a_number), max(a_number))",
    "edges": f"(min((a_time, {_VALUE})), max((a_time, {_VALUE})))",
    "frequencies": f"groupArraySorted({MAX_FREQUENCIES})(({_VALUE}, a_count))",
}


def state_query(
    aggregate: Aggregate,
    source: str,
    *,
    person: str = "profile_id",
    also: str = "true",
    columns: EventColumns = DEFAULT,
    prefix: str = "p",
) -> Compiled:
    """Return (SELECT, params) of the columns `person` and `state`, a row per person who has one.

    `state` is JSON for `aggregates.from_json`. `source`, `person` and `also`, one more condition
    on the rows of `source`, are SQL written by the caller. No two names of a parameter of the
    caller's and `prefix` followed by a number may be the same.
    """
    rows = _rows(aggregate, source, person, also, columns, prefix)
    if aggregate.family == "distinct":
        return Compiled(_distinct(rows.sql), rows.params)
    grouped = rows.sql
    if aggregate.family == "frequencies":
        grouped = (
            "SELECT a_person, a_index, a_kind, a_text, a_number, count() AS a_count"  # noqa: S608
            f" FROM ({rows.sql})"
            " GROUP BY a_person, a_index, a_kind, a_text, a_number"
        )
    sql = (
        "SELECT a_person AS person, toJSONString("  # noqa: S608
        f"arrayFilter(a -> a.1 > arrayMax(b -> b.1, a_parts) - {MAX_BUCKETS}, a_parts)) AS state"
        " FROM (SELECT a_person, groupArray((a_index, a_part)) AS a_parts FROM ("
        f"SELECT a_person, a_index, {_PARTS[aggregate.family]} AS a_part FROM ({grouped})"
        " GROUP BY a_person, a_index) GROUP BY a_person)"
    )
    return Compiled(sql, rows.params)


def _distinct(rows: str) -> str:
    """Each value in its newest part, and the newest thousand of all."""
    newest = (
        f"SELECT a_person, {_VALUE} AS a_value, max(a_index) AS a_newest FROM ({rows})"  # noqa: S608
        " GROUP BY a_person, a_value"
    )
    kept = f"groupArraySorted({MAX_DISTINCT})((-a_newest, a_value))"
    # Sorted by the negative index: the first is of the newest part.
    parts = (
        "arrayMap(i -> (-i, arrayMap(v -> v.2, arrayFilter(v -> v.1 = i, a_values))),"
        f" arrayFilter(i -> -i > -a_values[1].1 - {MAX_BUCKETS},"
        " arrayDistinct(arrayMap(v -> v.1, a_values))))"
    )
    return (
        f"SELECT a_person AS person, toJSONString({parts}) AS state FROM ("  # noqa: S608
        f"SELECT a_person, {kept} AS a_values FROM ({newest}) GROUP BY a_person)"
    )


def _rows(
    aggregate: Aggregate,
    source: str,
    person: str,
    also: str,
    columns: EventColumns,
    prefix: str,
) -> Compiled:
    """The events that count: `a_person`, `a_index` of the part, `a_time` in ms, and the value as
    `a_kind`, `a_text`, `a_number`."""
    condition = event_condition(aggregate.leaf, columns=columns, prefix=prefix)
    binds = Binds.start(f"{prefix}_v_")
    at = ", ".join(
        [columns.properties, *(f"{{{binds.name(key)}:String}}" for key in aggregate.path)]
    )
    value, usable = _value(aggregate.family, at)
    index = "toInt64(0)"
    if aggregate.leaf.last_ms is not None:
        # floor, not intDiv, which rounds times before 1970 the other way.
        index = f"toInt64(floor(a_time / {aggregate.leaf.width_ms:d}))"
    sql = (
        f"SELECT * FROM (SELECT {person} AS a_person,"  # noqa: S608
        f" toUnixTimestamp64Milli({columns.occurred_at}) AS a_time, {index} AS a_index{value}"
        f" FROM {source} WHERE {condition.sql} AND {also}) WHERE {usable}"
    )
    return Compiled(sql, condition.params | binds.values)


def _value(family: Family, at: str) -> tuple[str, str]:
    """(columns, condition) of the value at a path; see `partials.number` and `partials.scalar`."""
    if family == "moments":
        return "", "true"
    kind = f"JSONType({at})"
    # Adding zero makes the negative zero a positive one.
    number, small = f"JSONExtractFloat({at}) + 0", f"abs(a_number) < {MAX_NUMBER:.0f}"
    if family == "numbers":
        columns = f", if({kind} IN {_NUMBER}, 'n', '') AS a_kind, {number} AS a_number"
        return columns, f"a_kind = 'n' AND {small}"
    columns = (
        f", multiIf({kind} = 'String', 's', {kind} IN {_NUMBER}, 'n', {kind} = 'Bool', 'b', '')"
        f" AS a_kind, if(a_kind = 's', JSONExtractString({at}), '') AS a_text,"
        f" multiIf(a_kind = 'n', {number}, a_kind = 'b', toFloat64(JSONExtractBool({at})), 0)"
        " AS a_number"
    )
    return columns, f"a_kind != '' AND lengthUTF8(a_text) <= {MAX_TEXT} AND {small}"
