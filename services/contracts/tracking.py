"""What tracking answers: analytics queries, event scans and rule queries."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.computed import Aggregate
from services.contracts.rules import EventNode, SequenceNode, WhereGroup


class Window(BaseModel):
    """A half-open interval of event time: ``since`` ≤ occurred_at < ``until``."""

    model_config = ConfigDict(extra="forbid")

    since: datetime = Field(examples=["2018-01-01T00:00:00Z"])
    until: datetime = Field(examples=["2018-02-01T00:00:00Z"])


class Series(BaseModel):
    """One line of a trend."""

    model_config = ConfigDict(extra="forbid")

    event: str | None = Field(
        None,
        min_length=1,
        max_length=500,
        description="Name of the event; absent means any event.",
    )
    where: WhereGroup | None = Field(
        None, description="Filter over `properties.` and `context.` paths."
    )
    measure: Literal["count", "people", "sum", "average", "min", "max"] = "count"
    property: str | None = Field(
        None,
        max_length=200,
        description="Path of the number for sum, average, min, max: `amount`.",
    )


class TrendQuery(Window):
    """Counts over time. Events of merged people count as one person's."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "since": "2026-03-01T00:00:00Z",
                    "until": "2026-04-01T00:00:00Z",
                    "series": [{"event": "Order Completed", "measure": "people"}],
                    "interval": "day",
                    "timezone": "Asia/Shanghai",
                }
            ]
        },
    )

    series: list[Series] = Field(min_length=1, max_length=20)
    interval: Literal["hour", "day", "week", "month", "total"] = "day"
    timezone: str = Field("UTC", description="IANA name; day boundaries are drawn in it.")


class TrendPoint(BaseModel):
    series: int = Field(description="Index in the query's `series`, from 0.")
    at: datetime | None = Field(description="Start of the interval; null for `total`.")
    value: float


class Trend(BaseModel):
    points: list[TrendPoint]


class FunnelStep(BaseModel):
    """A step is met by any of its events."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    any_of: list[EventNode] = Field(min_length=1, max_length=20)


class FunnelQuery(Window):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "since": "2026-03-01T00:00:00Z",
                    "until": "2026-04-01T00:00:00Z",
                    "steps": [
                        {"any_of": [{"event": "Product Viewed"}, {"event": "Product Searched"}]},
                        {"name": "Ordered", "any_of": [{"event": "Order Completed"}]},
                    ],
                    "within_seconds": 604_800,
                }
            ]
        },
    )

    steps: list[FunnelStep] = Field(min_length=1, max_length=20)
    within_seconds: int = Field(
        604_800, ge=1, le=31_536_000, description="The last step at most so long after the first."
    )


class FunnelStepResult(BaseModel):
    name: str
    people: int
    conversion_from_start: float | None = Field(description="0..1; null when nobody started.")
    conversion_from_previous: float | None


class Funnel(BaseModel):
    steps: list[FunnelStepResult]


class SignalQuery(Window):
    """``POST /internal/v1/signals``: how often, and by how many people, each signal was seen."""

    signals: dict[str, EventNode] = Field(max_length=500)


class SignalCount(BaseModel):
    count: int
    people: int
    last_at: datetime | None = None


class SignalCounts(BaseModel):
    signals: dict[str, SignalCount]


class LeafQuery(BaseModel):
    """``POST /internal/v1/rules/query``: the states of event leaves, for backfill.

    Arrow stream answer, one row per (leaf, person who ever did it): ``leaf_id``, ``profile_id``
    string, and the five parts of ``services.rules.LeafState`` for ``from_wire``: ``total``,
    ``first``, ``last``, ``recent``, ``buckets``. Canonical profiles, log up to the offset in the
    answer's header ``X-Log-Offset``. 503 while ClickHouse has not loaded ``max_log_offset`` yet, or
    does not know who is who as of ``min_feed_offset``.
    """

    model_config = ConfigDict(extra="forbid")

    leaves: dict[str, EventNode | SequenceNode] = Field(
        min_length=1, max_length=50, description="By leaf id, a node that contains the leaf."
    )
    max_log_offset: int | None = Field(
        None, ge=0, description="Only events of log rows up to here: what profile has read."
    )
    min_feed_offset: int | None = Field(
        None,
        ge=0,
        description="Row of profile's change feed that the map of identities must have reached: "
        "people who were told apart there must not be counted as one.",
    )
    subjects: dict[UUID, list[UUID]] | None = Field(
        None,
        max_length=10,
        description="By profile: count the events of exactly these subjects as that profile's, "
        "whatever the map of identities says, and nobody else's.",
    )


class AggregateQuery(BaseModel):
    """``POST /internal/v1/aggregates/query``: what computed traits remember of the past.

    Arrow stream answer, sent as it is made: ``aggregate_id``, ``profile_id``, ``state`` string, the
    last for ``services.rules.aggregates.from_json``; one row per (aggregate, person with an event
    that counts). Canonical profiles, or with ``subject_ids`` those subjects, each by itself. 503
    while ClickHouse has not loaded ``max_log_offset`` yet, or does not know who is who as of
    ``min_feed_offset``.
    """

    model_config = ConfigDict(extra="forbid")

    aggregates: dict[str, Aggregate] = Field(
        min_length=1, max_length=50, description="By aggregate id, a definition that asks for it."
    )
    max_log_offset: int | None = Field(
        None, ge=0, description="Only events of log rows up to here: what profile has read."
    )
    min_feed_offset: int | None = Field(
        None, ge=0, description="As in ``LeafQuery``; says nothing with ``subject_ids``."
    )
    subject_ids: list[UUID] | None = Field(
        None, max_length=10_000, description="Only events of these subjects, a row for each."
    )


class EventScan(BaseModel):
    """``POST /internal/v1/events/scan``: past events for a replay, ordered by time, in pages.

    Arrow stream answer: ``profile_id``, ``event``, ``message_id`` string, ``occurred_at_ms`` int64,
    ``properties``, ``context`` string (JSON). Order: occurred_at, log offset, index in its row. The
    header ``X-Next-Cursor`` is absent on the last page.
    """

    model_config = ConfigDict(extra="forbid")

    events: list[str] = Field(min_length=1, max_length=100)
    since: datetime | None = None
    until: datetime | None = None
    cursor: str | None = None
    limit: int = Field(100_000, ge=1, le=200_000)


class CurrencyFilter(BaseModel):
    """Only events in one currency: sums of several mean nothing."""

    model_config = ConfigDict(extra="forbid")

    property: str = Field("currency", min_length=1, max_length=200)
    code: str = Field(min_length=1, max_length=20, examples=["CNY"])


class BehaviourQuery(BaseModel):
    """``POST /internal/v1/behaviour/summary``: what each person did before ``as_of``, streamed.

    Arrow stream answer, canonical profiles, people who did nothing left out. ``profile_id`` string
    and float64 columns by ``measure``, days as their number since 1970-01-01 in ``timezone``:

    - ``purchases``: ``days`` (with a purchase), ``first_day``, ``last_day``, ``total`` and
      ``first_value`` (value of all and of the first day's events)
    - ``activity``: ``events``, ``active_days``, ``last_day``
    - ``hours``, a row per person and hour: ``hour`` (of the week, 0 is Monday 00:00), ``events``
    - ``channels``, a row per person and channel: string ``channel`` (property ``channel_type``),
      ``sent`` (messages of ``events``), ``engaged`` (those of them with one of ``engagements``)
    """

    model_config = ConfigDict(extra="forbid")

    measure: Literal["purchases", "activity", "hours", "channels"]
    events: list[str] = Field(
        default_factory=list,
        max_length=50,
        description="By name; empty for all but outcomes. Of `purchases`: what a purchase is.",
    )
    engagements: list[str] = Field(default_factory=list, max_length=50)
    value: str | None = Field(None, max_length=200, description="Path of the money in properties.")
    currency: CurrencyFilter | None = None
    since: datetime | None = None
    as_of: datetime = Field(description="Exclusive.")
    timezone: str = "UTC"


class StoredEvent(BaseModel):
    """One event as event search and timelines show it."""

    message_id: str
    source_id: str
    type: str
    event: str
    profile_id: UUID = Field(description="The canonical profile, merges applied.")
    user_id: str
    anonymous_id: str
    occurred_at: datetime
    received_at: datetime
    properties: dict[str, Any]
    traits: dict[str, Any] = Field(description="What an identify or group call said.")
    context: dict[str, Any]


class RefusedEvent(BaseModel):
    index: int = Field(description="Place in the batch.")
    pointer: str = Field(description="JSON pointer into the event: `/traits/email`.")
    detail: str


class SaidAccepted(BaseModel):
    """``POST /internal/v1/events?source_id=``: a batch as the SDKs send it, from another service.

    Unlike theirs it is told at once what is refused, which therefore goes to no quarantine, and a
    person may be named by email or phone alone (in the traits). Answered once durable. With
    ``whole=true`` no tracking plan applies, and nothing is appended where anything is refused.
    """

    occurred_at: list[int | None] = Field(
        description="By place in the batch: the event's time in ms; null for one not appended."
    )
    refused: list[RefusedEvent]
    offset: int = Field(
        description="An offset of the workspace's partition, at or behind theirs: whoever has "
        "applied the log up to there has applied them."
    )


Channel = Literal[
    "app", "mini_program", "official_account", "wecom", "web", "store", "call_centre", "server"
]
"""Where a source meets the customer; `server` is a system behind all of them."""

PlanMode = Literal["observe", "omit", "quarantine", "block"]


class Violation(BaseModel):
    """One rule of a tracking plan that an event breaks."""

    type: Literal[
        "unplanned_event",
        "unplanned_property",
        "required_missing",
        "type_mismatch",
        "invalid_value",
    ]
    field: str = Field(
        description="JSON pointer into the event: `/properties/items/0/price`; empty for the "
        "event as a whole.",
        examples=["/properties/total"],
    )
    description: str = Field(
        description="What is wrong, without the value.",
        examples=['The value is not of type "number"'],
    )
