"""Tracking plans on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.tracking import Channel, PlanMode, Violation
from services.tracking.plans.apply import UnplannedEvents, UnplannedProperties

MAX_EVENTS = 500
SourceId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
EventName = Annotated[str, Field(min_length=1, max_length=500)]

_DOCUMENT: dict[str, Any] = {
    "events": {
        "Order Completed": {
            "description": "An order was paid",
            "schema": {
                "type": "object",
                "required": ["order_id", "total"],
                "properties": {
                    "order_id": {"type": "string"},
                    "total": {"type": "number", "minimum": 0},
                },
            },
            "channels": ["web", "app", "mini_program"],
        },
        "Page Viewed": {"description": "Any page call", "schema": {}},
    },
    "unplanned_events": "violation",
    "unplanned_properties": "omit",
}


class PlannedEvent(BaseModel):
    """One event of a plan."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    description: str = Field("", max_length=2000)
    json_schema: dict[str, Any] = Field(
        default_factory=dict,
        alias="schema",
        description="JSON Schema (2020-12 unless `$schema` names another draft) of the event's "
        "`properties`, for `identify` and `group` of its `traits`. References only to "
        "`#/$defs/…`, not to itself; expressions without look-around and back-references.",
    )
    channels: list[Channel] | None = Field(
        None,
        max_length=8,
        description="Where the event is expected; absent: in every source that runs the plan. "
        "Only the touchpoint coverage reads it.",
    )


class PlanDocument(BaseModel):
    """What a version of a plan says."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DOCUMENT]})

    events: dict[EventName, PlannedEvent] = Field(
        max_length=MAX_EVENTS,
        description="By event name. Page and screen calls are `Page Viewed` and `Screen Viewed`; "
        "the others are named by their call: `identify`, `group`, `alias`.",
    )
    unplanned_events: UnplannedEvents = Field(
        "allow",
        description="`violation`: a track, page or screen event that is not in the plan breaks "
        "it. The other calls may always be sent.",
    )
    unplanned_properties: UnplannedProperties = Field(
        "allow",
        description="Properties that an event's schema does not name: `allow`, `omit` (dropped, "
        "whatever the mode) or `violation`. A schema with its own `additionalProperties` decides "
        "for itself what is unplanned.",
    )


class TrackingPlanCreate(BaseModel):
    """A plan and its version 1. It acts on no source until it is activated for one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Web shop", "document": _DOCUMENT}]},
    )

    name: str = Field(
        min_length=1, max_length=200, pattern=r"\S", description="Unique in the workspace."
    )
    description: str = Field("", max_length=2000)
    document: PlanDocument


class PlanSource(BaseModel):
    """A source that runs a plan. A source runs one plan at most."""

    source_id: str
    channel: Channel | None
    plan_id: UUID
    version: int
    mode: PlanMode
    changed_at: datetime


class TrackingPlanSummary(BaseModel):
    id: UUID
    name: str
    description: str
    latest_version: int
    created_at: datetime


class PlanVersionSummary(BaseModel):
    version: int
    created_at: datetime


class PlanVersion(BaseModel):
    plan_id: UUID
    version: int = Field(description="Counts from 1; a version never changes.")
    document: PlanDocument


class TrackingPlan(TrackingPlanSummary):
    document: PlanDocument = Field(description="Of the latest version.")
    versions: list[PlanVersionSummary] = Field(description="Newest first.")
    sources: list[PlanSource] = Field(description="Where it is active, in whichever version.")


class Activation(BaseModel):
    """How strictly a source is held to a plan.

    `observe` accepts everything and notes what is wrong; `omit` also drops the properties in
    question; `quarantine` sets the event aside and answers 200 all the same; `block` does so and
    answers a single call with 400 (a batch is answered with 200: its other events are in).
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"mode": "observe", "channel": "web"}]}
    )

    mode: PlanMode
    version: int | None = Field(None, ge=1, lt=2**31, description="Absent: the latest.")
    channel: Channel | None = Field(None, description="Absent: as it was.")


class PlanViolationEvent(BaseModel):
    """An event that broke the plan."""

    received_at: datetime
    source_id: str
    event: str
    message_id: str | None = Field(description="Null for quarantined events.")
    version: int = Field(description="Of the plan, when it was received.")
    quarantined_id: int | None = Field(
        description="Set aside under this id of `/api/v1/quarantine`; null: it was accepted."
    )
    replayed: bool = Field(description="A replay has let it through since.")
    violations: list[Violation]
    omitted: list[str] = Field(description="JSON pointers of the properties dropped from it.")


class InferRequest(BaseModel):
    """Which traffic to look at: the last `days`, of one source or of all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"days": 30}]})

    source_id: SourceId | None = None
    days: int = Field(30, ge=1, le=365)
    required_share: float = Field(
        1.0,
        ge=0.5,
        le=1,
        description="A property present in this share of an event's sample becomes required.",
    )


class SeenPath(BaseModel):
    path: str = Field(
        description="Keys joined by dots, `[]` for the items of a list.",
        examples=["items[].price"],
    )
    types: list[str] = Field(description="JSON types seen.", examples=[["integer", "number"]])
    share: float = Field(description="0..1 of the objects that could hold it and do.")


class SeenEvent(BaseModel):
    event: str
    count: int = Field(description="In the whole time asked for.")
    sampled: int = Field(description="Events that were looked into.")
    paths: list[SeenPath]


class PlanDraft(BaseModel):
    """A plan as the traffic suggests it; nothing is stored. Correct it and create a plan of it."""

    document: PlanDocument
    seen: list[SeenEvent] = Field(description="What it rests on, most frequent events first.")
