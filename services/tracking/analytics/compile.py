"""Analytics queries → ClickHouse SQL. Pure: values travel as typed binds, never in the text."""

from dataclasses import dataclass, field
from typing import Any

from services.contracts.rules import EventNode
from services.contracts.tracking import FunnelQuery, Series, SignalQuery, TrendQuery, Window
from services.tracking.conditions import Binds, event_condition

PEOPLE = "person_events(workspace_id={workspace_id:UUID})"

_BUCKETS = {
    "hour": "toStartOfHour(occurred_at, {timezone:String})",
    "day": "toStartOfDay(occurred_at, {timezone:String})",
    "week": "toDateTime(toStartOfWeek(occurred_at, 1, {timezone:String}), {timezone:String})",
    "month": "toDateTime(toStartOfMonth(occurred_at, {timezone:String}), {timezone:String})",
    "total": "toDateTime(0, 'UTC')",
}
_PATH_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Compiled:
    sql: str
    params: dict[str, Any] = field(default_factory=dict)


def trend(query: TrendQuery) -> Compiled:
    """Rows ``(series index, interval start in epoch seconds, value)``, ordered."""
    binds = Binds()
    bucket = _BUCKETS[query.interval]
    parts = []
    for index, series in enumerate(query.series):
        condition = _series_condition(series, f"#/series/{index}", binds)
        measure = _measure(series, binds)
        parts.append(
            f"SELECT {index} AS series, toUnixTimestamp({bucket}) AS at, "
            f"toFloat64({measure}) AS value FROM {PEOPLE} "
            f"WHERE {_within(query, binds)} AND {condition} GROUP BY at"
        )
    # Outside of the union: inside, an ORDER BY would belong to its last part alone.
    sql = f"SELECT series, at, value FROM ({' UNION ALL '.join(parts)}) ORDER BY series, at"
    return Compiled(sql, binds.params | {"timezone": query.timezone})


def funnel(query: FunnelQuery) -> Compiled:
    """Rows ``(level, people who got exactly so far)``.

    Ordered, not strict: other events may lie between, equal times count as in order (the choice of
    clickhouse.md's sources Mixpanel and Amplitude), each step within the window of the first.
    """
    binds = Binds()
    steps = []
    for index, step in enumerate(query.steps):
        any_of = [
            event_condition(node, f"#/steps/{index}/any_of/{i}", binds)
            for i, node in enumerate(step.any_of)
        ]
        steps.append("(" + " OR ".join(any_of) + ")")
    names = {node.event for step in query.steps for node in step.any_of}
    sql = (
        "SELECT level, count() FROM (SELECT profile_id, windowFunnel({window_ms:UInt64})"
        f"(toUInt64(greatest(0, toUnixTimestamp64Milli(occurred_at))), {', '.join(steps)}) "
        "AS level "
        f"FROM {PEOPLE} WHERE {_within(query, binds)} AND {_event_in(names, binds)} "
        "GROUP BY profile_id) WHERE level > 0 GROUP BY level ORDER BY level"
    )
    return Compiled(sql, binds.params | {"window_ms": query.within_seconds * 1000})


def signals(query: SignalQuery, names: list[str]) -> Compiled:
    """One row for the ``names``d signals: count, people, last time (epoch ms) of each in turn."""
    binds = Binds()
    columns = []
    nodes: list[EventNode] = [query.signals[name] for name in names]
    for name, node in zip(names, nodes, strict=True):
        condition = event_condition(node, f"#/signals/{name}", binds)
        columns += [
            f"countIf({condition})",
            f"uniqExactIf(profile_id, {condition})",
            f"toUnixTimestamp64Milli(maxIf(occurred_at, {condition}))",
        ]
    sql = (
        f"SELECT {', '.join(columns)} FROM {PEOPLE} "
        f"WHERE {_within(query, binds)} AND {_event_in({n.event for n in nodes}, binds)}"
    )
    return Compiled(sql, binds.params)


def _within(window: Window, binds: Binds) -> str:
    since = binds.add(window.since, "DateTime64(3,'UTC')")
    until = binds.add(window.until, "DateTime64(3,'UTC')")
    return f"occurred_at >= {since} AND occurred_at < {until}"


def _event_in(names: set[str], binds: Binds) -> str:
    return f"event IN {binds.add(sorted(names), 'Array(String)')}"


def _series_condition(series: Series, pointer: str, binds: Binds) -> str:
    if series.event is None:
        return "type != 'outcome'"
    node = EventNode(event=series.event, where=series.where)
    return event_condition(node, pointer, binds)


def _measure(series: Series, binds: Binds) -> str:
    if series.measure == "count":
        return "count()"
    if series.measure == "people":
        return "uniqExact(profile_id)"
    # Split only so deep: a path is a bind per segment.
    path = (series.property or "").split(".", _PATH_DEPTH)
    keys = ", ".join(binds.add(key, "String") for key in path)
    number = f"JSONExtract(properties, {keys}, 'Nullable(Float64)')"
    function = {"sum": "sumKahan", "average": "avg", "min": "min", "max": "max"}[series.measure]
    return (
        f"coalesce({function}({number}), 0)" if series.measure == "sum" else f"{function}({number})"
    )
