"""Journeys as the API shows and takes them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.contracts.assessment import ReadinessReason
from services.kit.problems import FieldError
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.shapes import JourneyKey

JourneyState = Literal["draft", "live", "paused", "archived"]

EXAMPLE_GRAPH: dict[str, Any] = {
    "name": "Offer reminder",
    "purpose": "marketing",
    "entry": {
        "kind": "event",
        "event": "Offer Viewed",
        "where": {
            "combinator": "and",
            "rules": [
                {
                    "field": "properties.offer_type",
                    "operator": "in",
                    "value": ["bogo", "discount"],
                }
            ],
        },
        "anchor": {"event": "Offer Received", "match": ["offer_id"]},
        "unless": {"event": "Offer Completed", "match": ["offer_id"], "since": "anchor"},
        "instance_key": ["offer_id", "@anchor"],
        "entry_mode": "once",
        "next": "wait",
    },
    "nodes": [
        {
            "id": "wait",
            "type": "wait",
            "branches": [
                {
                    "event": "Offer Completed",
                    "match": {"offer_id": "offer_id"},
                    "next": "completed",
                }
            ],
            "timeout_seconds": 259_200,
            "on_timeout": "remind",
        },
        {
            "id": "remind",
            "type": "message",
            "channel_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7a",
            "template_id": "0199f0c2-5a52-7c3e-9f3a-0d6f1f1c2b7b",
            "next": "reminded",
        },
        {"id": "completed", "type": "exit", "reason": "completed"},
        {"id": "reminded", "type": "exit", "reason": "reminded"},
    ],
}


class JourneyDraft(BaseModel):
    """The draft of a journey. Only its shape is checked when it is saved, so that half-finished
    work can be kept; `problems` of the answer tell what still stands against publishing it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"graph": EXAMPLE_GRAPH}]}
    )

    graph: Graph


class JourneyCreate(JourneyDraft):
    key: JourneyKey | None = Field(
        None, description="What files call it by (`PUT /journey-files/{key}`); made up if left out."
    )


class Warning_(BaseModel):  # noqa: N801 - Warning is a builtin
    """Something a publisher should know; it did not stop the publishing."""

    model_config = ConfigDict(title="Warning")

    code: Literal["too_many_channels", "readiness_unknown", "rules_backfilling"]
    detail: str = Field(
        examples=["The journey uses 3 channels; 2 are recommended at maturity level 2."]
    )
    reasons: list[ReadinessReason] = Field(
        default_factory=list, description="What readiness still misses, in English and Chinese."
    )


class JourneyVersion(BaseModel):
    id: UUID
    number: int = Field(description="1, 2, 3 … per journey; statistics carry it.")
    published_at: datetime
    warnings: list[Warning_] = Field(default_factory=list)


class JourneyVersionDetail(JourneyVersion):
    model_config = ConfigDict(from_attributes=True)

    graph: dict[str, Any] = Field(description="As it was published; it never changes.")


class Journey(BaseModel):
    id: UUID
    key: str = Field(description="What files call it by; never changes.", examples=["welcome"])
    name: str
    state: JourneyState = Field(
        description="`draft`: never published. `live`. `paused`: nobody enters, everybody in it "
        "rests. `archived`: ended for good."
    )
    draft_revision: int = Field(description="Grows with every change of the draft.")
    live_version: int | None = Field(description="Number of the version people enter.")
    published_at: datetime | None
    graph: dict[str, Any] = Field(description="The draft.")
    problems: list[FieldError] = Field(description="What stands against publishing the draft.")
    created_at: datetime
    updated_at: datetime


class PublishRequest(BaseModel):
    """What becomes of those who are inside an older version."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"in_flight": "migrate", "redirects": {"wait_a_day": "remind"}}]
        },
    )

    in_flight: Literal["finish", "migrate", "stop"] = Field(
        "finish",
        description="`finish`: they finish the version they entered. `migrate`: they go on in the "
        "new one. `stop`: they leave, with the reason `version_stopped`.",
    )
    redirects: dict[str, str | None] = Field(
        default_factory=dict,
        max_length=200,
        description="With `migrate`: node of an older version → node of the new one, null: out. "
        "Nodes that are not named keep their people where they still are; where they are not, "
        "people go to the next node that is left, or leave with the reason `journey_changed`.",
    )
    shortened: Literal["keep", "apply"] = Field(
        "keep",
        description="With `migrate`, for those at a delay or wait that got shorter: `keep` the "
        "time they have, or `apply` the new one. A longer time holds for all, and one that "
        "depends on the person (local time, trait) is worked out anew.",
    )
    per_minute: int = Field(
        6_000,
        ge=1,
        le=10_000_000,
        description="With `migrate`: how many people move per minute, so that nothing bursts.",
    )


class PauseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"mode": "hold"}]})

    mode: Literal["hold", "discard"] = Field(
        "hold",
        description="`hold`: who is due rests until the journey is resumed. `discard`: who is due "
        "leaves, with the reason `journey_paused`; who waits longer stays.",
    )


class ResumeRequest(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"per_minute": 6_000}]}
    )

    per_minute: int = Field(
        6_000,
        ge=1,
        le=10_000_000,
        description="How many of those whose time came during the pause go on per minute, the "
        "earliest first.",
    )


class GraphEdit(BaseModel):
    """A difference between a version and the draft."""

    version: int
    place: str = Field(description="A node's id, or what of the journey: `entry`, `goals` …")
    change: Literal["added", "removed", "changed"]
    fields: list[str] = Field(description="Of a changed node.", examples=[["seconds"]])


class Whereabouts(BaseModel):
    """People at one node of one version, and what publishing does to them."""

    version: int
    node: str
    people: int
    then: Literal["finish", "stay", "retime", "move", "leave"] = Field(
        description="`finish` their version; `stay` at the node; `retime`: stay, for another time; "
        "`move` to the node `to`; `leave` the journey."
    )
    to: str | None = Field(None, description="The node of the new version, null: none.")


class PublishPreview(BaseModel):
    problems: list[FieldError] = Field(description="What stands against publishing.")
    edits: list[GraphEdit] = Field(
        description="Against every version that has people in it, and the live one."
    )
    people: list[Whereabouts] = Field(description="Where everybody is who is inside.")
    seconds: int = Field(description="How long the move takes at the given rate.")


class Published(BaseModel):
    journey: Journey
    version: JourneyVersion
    warnings: list[Warning_]


class ParticipantView(BaseModel):
    """One person's way through the journey."""

    model_config = ConfigDict(title="Participant", from_attributes=True)

    id: UUID
    profile_id: UUID
    version: int
    instance_key: str = Field(description="Empty where the journey has no instance key.")
    rotation: int = Field(description="1 for the first time under this key, 2 for the second …")
    state: Literal["due", "waiting", "exited"]
    node: str = Field(description="Where the person is, or was at the end.")
    arrived_at: datetime
    due_at: datetime = Field(description="When the delay ends or the wait times out.")
    entered_at: datetime
    exited_at: datetime | None
    exit_reason: str | None


class NodeStats(BaseModel):
    """`entered` = `waiting` + `passed` + `exited` at every moment."""

    entered: int = Field(description="Arrivals, counted each time.")
    waiting: int = Field(description="People at the node now.")
    passed: int = Field(description="Went on to another node.")
    exited: int = Field(description="Left the journey here.")
    outcomes: dict[str, int] = Field(
        description="How they left the node: `case_0` …, `otherwise`, `arm_a` …, `timeout`, "
        "`elapsed`, `queued`, `done` …, or the reason of an exit."
    )
    messages: dict[str, int] = Field(
        default_factory=dict,
        description="Messages of this node by state; skipped and failed ones as `state:reason`.",
    )


class Flow(BaseModel):
    """An edge with its traffic. `@entry` and `@exit` are outside; `@refused`: was not let in;
    `@moved`: from or to another version, `kept` in place or `moved` to another node."""

    model_config = ConfigDict(from_attributes=True)

    version: int
    source: str
    outcome: str
    target: str
    count: int


class GoalStats(BaseModel):
    people: int = Field(description="Ways through the journey that reached it, each once.")
    value: float | None = Field(description="What it was worth in all, where it names a property.")


class JourneyStats(BaseModel):
    """`entered` + `moved_in` = `waiting` + `exited` + `moved_out` at every moment."""

    entered: int
    moved_in: int = Field(description="Taken over from older versions.")
    moved_out: int = Field(description="Handed over to newer versions.")
    waiting: int
    exited: int
    exits: dict[str, int] = Field(description="By reason.")
    refused: dict[str, int] = Field(
        description="Who was not let in, each time, by reason: `not_in_audience`, `holdout`, "
        "`journey_holdout`, `capped`, "
        "`entered_before`."
    )
    goals: dict[str, GoalStats] = Field(
        default_factory=dict,
        description="By the goal's id; those that nobody reached are left out.",
    )
    nodes: dict[str, NodeStats]
    flows: list[Flow] = Field(description="Every edge that was walked, for Sankey pictures.")
