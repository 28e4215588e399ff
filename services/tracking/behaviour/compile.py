"""Summaries of people's behaviour → ClickHouse SQL. Pure: values travel as typed binds."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from services.contracts.tracking import BehaviourQuery
from services.tracking.conditions import Binds

_PEOPLE = "person_events(workspace_id={workspace_id:UUID})"
_PATH_DEPTH = 8
_TEXTS = ("profile_id", "channel")


@dataclass(frozen=True, slots=True)
class Compiled:
    """``columns``: names in the order of the SELECT."""

    sql: str
    columns: tuple[str, ...]
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(
            [(name, pa.string() if name in _TEXTS else pa.float64()) for name in self.columns]
        )


def summary(query: BehaviourQuery) -> Compiled:
    binds = Binds()
    sql, columns = _MEASURES[query.measure](query, binds)
    params = binds.params | {"timezone": query.timezone}
    return Compiled(sql, ("profile_id", *columns), params)


def _purchases(query: BehaviourQuery, binds: Binds) -> tuple[str, tuple[str, ...]]:
    # By day first: several orders of one day are one purchase (Fader and Hardie).
    value = "0" if query.value is None else f"ifNull({_number(query.value, binds)}, 0)"
    days = (
        f"SELECT profile_id, {_day('occurred_at')} AS day, sumKahan(toFloat64({value})) AS value "
        f"FROM {_PEOPLE} WHERE {_chosen(query, binds)} GROUP BY profile_id, day"
    )
    return (
        "SELECT toString(profile_id), toFloat64(count()), toFloat64(min(day)), "
        "toFloat64(max(day)), sumKahan(value), argMin(value, day) "
        f"FROM ({days}) GROUP BY profile_id",
        ("days", "first_day", "last_day", "total", "first_value"),
    )


def _activity(query: BehaviourQuery, binds: Binds) -> tuple[str, tuple[str, ...]]:
    return (
        f"SELECT toString(profile_id), toFloat64(count()), "
        f"toFloat64(uniqExact({_day('occurred_at')})), toFloat64(max({_day('occurred_at')})) "
        f"FROM {_PEOPLE} WHERE {_chosen(query, binds)} GROUP BY profile_id",
        ("events", "active_days", "last_day"),
    )


def _hours(query: BehaviourQuery, binds: Binds) -> tuple[str, tuple[str, ...]]:
    local = "toTimeZone(occurred_at, {timezone:String})"
    hour = f"(toDayOfWeek({local}) - 1) * 24 + toHour({local})"
    return (
        f"SELECT toString(profile_id), toFloat64({hour}) AS hour, toFloat64(count()) "
        f"FROM {_PEOPLE} WHERE {_chosen(query, binds)} GROUP BY profile_id, hour",
        ("hour", "events"),
    )


def _channels(query: BehaviourQuery, binds: Binds) -> tuple[str, tuple[str, ...]]:
    sent = binds.add(query.events, "Array(String)")
    engaged = binds.add(query.engagements, "Array(String)")
    # A message opened twice was opened.
    messages = (
        "SELECT profile_id, JSONExtractString(properties, 'message_id') AS message, "
        f"anyIf(JSONExtractString(properties, 'channel_type'), event IN {sent}) AS channel, "
        f"max(event IN {engaged}) AS was_engaged "
        f"FROM {_PEOPLE} WHERE (event IN {sent} OR event IN {engaged}) AND {_within(query, binds)} "
        "GROUP BY profile_id, message HAVING message != '' AND channel != ''"
    )
    return (
        "SELECT toString(profile_id), channel, toFloat64(count()), toFloat64(sum(was_engaged)) "
        f"FROM ({messages}) GROUP BY profile_id, channel",
        ("channel", "sent", "engaged"),
    )


_MEASURES = {
    "purchases": _purchases,
    "activity": _activity,
    "hours": _hours,
    "channels": _channels,
}


def _chosen(query: BehaviourQuery, binds: Binds) -> str:
    parts = [_within(query, binds)]
    if query.events:
        parts.append(f"event IN {binds.add(query.events, 'Array(String)')}")
    else:
        parts.append("type != 'outcome'")
    if query.currency is not None:
        found = f"JSONExtractString(properties, {_path(query.currency.property, binds)})"
        parts.append(f"{found} = {binds.add(query.currency.code, 'String')}")
    return " AND ".join(parts)


def _within(query: BehaviourQuery, binds: Binds) -> str:
    until = f"occurred_at < {binds.add(query.as_of, _TIME)}"
    if query.since is None:
        return until
    return f"occurred_at >= {binds.add(query.since, _TIME)} AND {until}"


_TIME = "DateTime64(3,'UTC')"


def _day(time: str) -> str:
    return f"toInt32(toDate({time}, {{timezone:String}}))"


def _number(path: str, binds: Binds) -> str:
    return f"JSONExtract(properties, {_path(path, binds)}, 'Nullable(Float64)')"


def _path(path: str, binds: Binds) -> str:
    return ", ".join(binds.add(key, "String") for key in path.split(".", _PATH_DEPTH))
