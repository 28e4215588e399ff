"""What tracking answers: analytics queries, event scans and rule queries."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.rules import EventNode, WhereGroup


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


class StatementsAccepted(BaseModel):
    """Answer of ``POST /internal/v1/statements``, whose body is a batch as the SDKs send it.

    The events are durable, of the source ``api``. Whoever has applied the log up to ``offset`` has
    applied them.
    """

    accepted: int
    offset: int = Field(description="An offset of the workspace's partition, at or behind theirs.")


class LeafQuery(BaseModel):
    """``POST /internal/v1/rules/query``: the states of event leaves, for backfill.

    Arrow stream answer, one row per (leaf, person who ever did it): ``leaf_id``, ``profile_id``
    string, and the five parts of ``services.rules.LeafState`` for ``from_wire``: ``total``,
    ``first``, ``last``, ``recent``, ``buckets``. Canonical profiles, log up to the offset in the
    answer's header ``X-Log-Offset``. 503 while ClickHouse has not loaded ``max_log_offset`` yet.
    """

    model_config = ConfigDict(extra="forbid")

    leaves: dict[str, EventNode] = Field(
        min_length=1, max_length=50, description="By leaf id, a node that contains the leaf."
    )
    max_log_offset: int | None = Field(
        None, ge=0, description="Only events of log rows up to here: what profile has read."
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
