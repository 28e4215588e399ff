"""Event nodes as ClickHouse conditions over a table of raw events."""

from dataclasses import dataclass
from json import dumps
from typing import NamedTuple

from services.rules.binds import Binds, Compiled, ParamValue
from services.rules.bucket import bucket_clickhouse
from services.rules.errors import RuleInvalid
from services.rules.instants import PATTERN
from services.rules.leaves import MAX_BUCKETS, oldest_ms
from services.rules.model import (
    All,
    AtLeast,
    Const,
    Expr,
    Held,
    Leaf,
    Not,
    Rule,
    Sequence,
    Some,
    Test,
    Time,
    bounds,
    walk,
)
from services.rules.sequence_sql import in_clickhouse

_ORDER = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NUMBER = "('Int64', 'UInt64', 'Double')"


@dataclass(frozen=True, slots=True)
class EventColumns:
    """SQL expressions, written by the calling service, for the columns of one event.

    `person`: String, the profile id, by which rows are grouped. `event`: String. `properties`,
    `context`: String holding a JSON object. `occurred_at`: DateTime64(3, 'UTC').
    """

    event: str = "event"
    properties: str = "properties"
    context: str = "context"
    occurred_at: str = "occurred_at"
    person: str = "toString(profile_id)"


class PersonCondition(NamedTuple):
    """`having` is true for a person's events under GROUP BY; only `events` have to be read."""

    having: str
    params: dict[str, ParamValue]
    events: tuple[str, ...]


DEFAULT = EventColumns()


def filter_condition(
    where: Expr, *, columns: EventColumns = DEFAULT, prefix: str = "p"
) -> Compiled:
    """Return (condition, params) of a canonical filter (`normalise_where`) on one event row."""
    compiler = _Compiler(columns, Binds.start(prefix))
    return Compiled(compiler.expr(where), compiler.binds.values)


def event_condition(
    leaf: Leaf, now_ms: int | None = None, *, columns: EventColumns = DEFAULT, prefix: str = "p"
) -> Compiled:
    """Return (condition, params) of the rows a leaf counts at `now_ms`.

    Without `now_ms` a sliding window is left out: the rows whose times make its LeafState.
    """
    compiler = _Compiler(columns, Binds.start(prefix))
    return Compiled(compiler.rows(leaf, now_ms), compiler.binds.values)


def leaf_state_columns(leaf: Leaf, *, columns: EventColumns = DEFAULT) -> str:
    """Return the SELECT list that gives a LeafState per group of rows matching the leaf.

    Columns `total`, `first`, `last` (ms), `recent` (Array(Int64), newest first) and `buckets`
    (Array(Tuple(Int64, UInt64)), newest first), for `LeafState.from_wire`. Aggregates over
    rows of `event_condition(leaf)`, grouped by person; a person without rows has no state.
    """
    time = f"toUnixTimestamp64Milli({columns.occurred_at})"
    recent, buckets = "emptyArrayInt64()", "CAST([], 'Array(Tuple(Int64, UInt64))')"
    if leaf.keep:
        recent = f"arrayMap(t -> -t, groupArraySorted({leaf.keep:d})(-{time}))"
    elif leaf.last_ms is not None:
        # floor, not intDiv, which rounds times before 1970 the other way.
        index = f"toInt64(floor({time} / {leaf.width_ms:d}))"
        grouped = f"sumMap([{index}], [toUInt64(1)])"
        pairs = f"arrayReverseSort(arrayZip(({grouped}).1, ({grouped}).2))"
        buckets = f"arrayFilter(b -> b.1 > ({pairs})[1].1 - {MAX_BUCKETS:d}, {pairs})"
    return (
        f"count() AS total, min({time}) AS first, max({time}) AS last,"
        f" {recent} AS recent, {buckets} AS buckets"
    )


def person_condition(
    rule: Rule, now_ms: int, *, columns: EventColumns = DEFAULT, prefix: str = "p"
) -> PersonCondition:
    """Return the HAVING condition of a rule made of events and buckets only, for previews.

    People without any row do not appear under GROUP BY: where the rule can hold for them
    (`evaluate(rule, Person(), now_ms)`), the caller adds them. Raises RuleInvalid where the
    rule reads anything else.
    """
    for node in walk(rule.root):
        if isinstance(node, Held):
            raise RuleInvalid("", "where only events are known, `held` cannot be asked")
        if isinstance(node, Test) and node.source != "bucket":
            detail = "where only events are known, fields of a profile cannot be asked"
            raise RuleInvalid("", detail)
    compiler = _Compiler(columns, Binds.start(prefix), now_ms)
    having = compiler.expr(rule.root)
    names = tuple(sorted({leaf.event for leaf in rule.leaves}))
    return PersonCondition(having, compiler.binds.values, names)


@dataclass(frozen=True, slots=True)
class _Compiler:
    columns: EventColumns
    binds: Binds
    now_ms: int | None = None

    def expr(self, expr: Expr) -> str:
        match expr:
            case Const(value):
                return "true" if value else "false"
            case Not(child):
                return f"NOT {self.expr(child)}"
            case All(children):
                return "(" + " AND ".join(map(self.expr, children)) + ")"
            case Some(children):
                return "(" + " OR ".join(map(self.expr, children)) + ")"
            case AtLeast(leaf, n):
                enough = self.bind(n, "UInt64")
                return f"(countIf({self.rows(leaf, self.now_ms)}) >= {enough})"
            case Sequence():
                return self.sequence(expr)
            case Test(source="bucket"):
                return self.bucket(expr)
            case Held():
                raise TypeError("a held rule is not known from events")
            case Test(source=source):
                column = self.columns.context if source == "context" else self.columns.properties
                return self.test(expr, ", ".join([column, *map(self.bind, expr.path)]))

    def sequence(self, node: Sequence) -> str:
        assert self.now_ms is not None
        time = f"toUnixTimestamp64Milli({self.columns.occurred_at})"
        return in_clickhouse(node, self.now_ms, time, lambda leaf: self.rows(leaf, None), self.bind)

    def bucket(self, test: Test) -> str:
        if test.op == "between":
            return f"({' AND '.join(map(self.bucket, bounds(test)))})"
        drawn = bucket_clickhouse(self.bind(test.path[0]), self.columns.person)
        return f"({drawn} {_ORDER[test.op]} {self.bind(int(str(test.value)), 'UInt16')})"

    def rows(self, leaf: Leaf, now_ms: int | None) -> str:
        parts = [f"{self.columns.event} = {self.bind(leaf.event)}"]
        after_ms = leaf.after_ms
        if leaf.last_ms is not None and now_ms is not None:
            after_ms = oldest_ms(leaf, now_ms)
        if after_ms is not None:
            parts.append(f"{self.columns.occurred_at} >= {self.time(after_ms)}")
        if leaf.before_ms is not None:
            parts.append(f"{self.columns.occurred_at} < {self.time(leaf.before_ms)}")
        if leaf.where != Const(True):
            parts.append(self.expr(leaf.where))
        return "(" + " AND ".join(parts) + ")"

    def test(self, test: Test, at: str) -> str:
        """`at`: the arguments that lead a JSONExtract function to the value."""
        value, kind, text = test.value, f"JSONType({at})", f"JSONExtractString({at})"
        if test.op == "null":
            return f"({kind} = 'Null')"
        if test.op == "between":
            return f"({' AND '.join(self.test(part, at) for part in bounds(test))})"
        if isinstance(value, Time):
            parsed = f"parseDateTime64BestEffortOrNull({text}, 6, 'UTC')"
            compared = f"toUnixTimestamp64Micro({parsed}) {_ORDER[test.op]}"
            return (
                f"ifNull({kind} = 'String' AND match({text}, {self.bind(PATTERN)})"
                f" AND {compared} {self.bind(value.us, 'Int64')}, false)"
            )
        if isinstance(value, tuple):
            return self.member(value, at)
        if test.op == "=":
            return self.equal(value, at)
        if test.op == "contains":
            inside = (
                f"({kind} = 'Array' AND"
                f" arrayExists(e -> {self.equal(value, 'e')}, JSONExtractArrayRaw({at})))"
            )
            if not isinstance(value, str):
                return inside
            part = f"({kind} = 'String' AND position({text}, {self.bind(value)}) > 0)"
            return f"({inside} OR {part})"
        if test.op in ("beginsWith", "endsWith"):
            function = {"beginsWith": "startsWith", "endsWith": "endsWith"}[test.op]
            return f"({kind} = 'String' AND {function}({text}, {self.bind(str(value))}))"
        order = _ORDER[test.op]
        if isinstance(value, str):
            return f"({kind} = 'String' AND {text} {order} {self.bind(value)})"
        number = f"JSONExtractFloat({at}) {order} {self.number(value)}"
        return f"({kind} IN {_NUMBER} AND {number})"

    def equal(self, value: object, at: str) -> str:
        if isinstance(value, bool):
            return f"(JSONType({at}) = 'Bool' AND JSONExtractBool({at}) = {value:d})"
        if isinstance(value, str):
            return f"(JSONType({at}) = 'String' AND JSONExtractString({at}) = {self.bind(value)})"
        compared = f"JSONExtractFloat({at}) = {self.number(value)}"
        return f"(JSONType({at}) IN {_NUMBER} AND {compared})"

    def member(self, values: tuple[object, ...], at: str) -> str:
        """Arrays travel as JSON text in one string: how drivers quote an array bind differs."""
        parts = [self.equal(each, at) for each in values if isinstance(each, bool)]
        strings = [each for each in values if isinstance(each, str)]
        numbers = [each for each in values if type(each) in (int, float)]
        if strings:
            known = f"JSONExtract({self.bind(dumps(strings))}, 'Array(String)')"
            parts.append(f"(JSONType({at}) = 'String' AND has({known}, JSONExtractString({at})))")
        if numbers:
            known = f"JSONExtract({self.bind(dumps(numbers))}, 'Array(Float64)')"
            parts.append(f"(JSONType({at}) IN {_NUMBER} AND has({known}, JSONExtractFloat({at})))")
        return "(" + " OR ".join(parts) + ")"

    def time(self, time_ms: int) -> str:
        return f"fromUnixTimestamp64Milli({self.bind(time_ms, 'Int64')}, 'UTC')"

    def number(self, value: object) -> str:
        return self.bind(float(str(value)), "Float64")

    def bind(self, value: ParamValue, type_: str = "String") -> str:
        return f"{{{self.binds.name(value)}:{type_}}}"
