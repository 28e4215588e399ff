"""Which tables a computation is made of, in the order ``compute.py`` reads them. Pure."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from services.contracts.tracking import BehaviourQuery, CurrencyFilter

Source = BehaviourQuery | Literal["traits"]

CLUSTERING_HISTORY_DAYS = 180
_JUDGED_SHARE = 0.2
"""Of the history that a send time is learnt from: its end, by which it is judged first."""


def sources(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    return _SOURCES[definition["kind"]](definition, as_of)


def day_number(as_of: datetime, timezone: str) -> int:
    """Days since 1970-01-01 of the local date."""
    return (as_of.astimezone(ZoneInfo(timezone)).date() - date(1970, 1, 1)).days


def _purchases(definition: dict[str, Any], as_of: datetime) -> BehaviourQuery:
    currency = definition["currency"]
    return BehaviourQuery(
        measure="purchases",
        events=[definition["event"]],
        value=definition["value"],
        currency=None if currency is None else CurrencyFilter(**currency),
        as_of=as_of,
        timezone=definition["timezone"],
    )


def _rfm(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    return [_purchases(definition, as_of)]


def _clv(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    cut = as_of - timedelta(days=definition["horizon_days"])
    return [_purchases(definition, cut), _purchases(definition, as_of)]


def _propensity(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    horizon = timedelta(days=definition["horizon_days"])
    found: list[Source] = []
    for until in (as_of - 2 * horizon, as_of - horizon, as_of):
        zone = definition["timezone"]
        found.append(_purchases(definition, until))
        found.append(
            BehaviourQuery(measure="activity", since=until - horizon, as_of=until, timezone=zone)
        )
    return found


def _send_time(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    history = timedelta(days=definition["history_days"])
    cut = as_of - _JUDGED_SHARE * history
    return [
        BehaviourQuery(
            measure="hours",
            events=definition["events"],
            since=since,
            as_of=until,
            timezone=definition["timezone"],
        )
        for since, until in ((as_of - history, cut), (cut, as_of))
    ]


def _channel(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    return [
        BehaviourQuery(
            measure="channels",
            events=definition["sent"],
            engagements=definition["engaged"],
            since=as_of - timedelta(days=definition["history_days"]),
            as_of=as_of,
        )
    ]


def _clustering(definition: dict[str, Any], as_of: datetime) -> list[Source]:
    found: list[Source] = ["traits"]
    zone = definition["timezone"]
    if behaviour := definition["behaviour"]:
        found.append(_purchases({**behaviour, "timezone": zone}, as_of))
    if definition["preferences"]:
        since = as_of - timedelta(days=CLUSTERING_HISTORY_DAYS)
        found.append(BehaviourQuery(measure="hours", since=since, as_of=as_of, timezone=zone))
    return found


_SOURCES = {
    "clv": _clv,
    "rfm": _rfm,
    "purchase": _propensity,
    "churn": _propensity,
    "send_time": _send_time,
    "channel_preference": _channel,
    "clustering": _clustering,
}


def as_text(as_of: datetime) -> str:
    """How the time of a prediction is written beside it."""
    return as_of.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
