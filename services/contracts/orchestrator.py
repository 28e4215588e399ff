"""What the orchestrator says on the wire: outcomes to tracking, the impact of merges to profile."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

OutcomeName = Literal[
    "Journey Entered",
    "Step Taken",
    "Step Refused",
    "Goal Reached",
    "Experiment Exposed",
    "Journey Exited",
    "Message Sent",
    "Message Failed",
    "Message Unknown",
    "Message Skipped",
    "Message Delivered",
    "Message Opened",
    "Message Clicked",
    "Message Bounced",
    "Message Complained",
    "Message Unsubscribed",
    "Message Undelivered",
]
"""Names of ``contracts.events.Outcome`` that the orchestrator tells."""


class JourneyOutcome(BaseModel):
    """`properties` of `Journey Entered`, `Step Taken`, `Step Refused` and `Journey Exited`."""

    journey_id: str
    version_id: str
    participant_id: str
    instance_key: str = Field(description="Empty where the journey has no instance key.")
    node: str = Field(description="The node that was left; for an entry the first node.")
    outcome: str = Field(
        description="`entered`, `case_0` …, `otherwise`, `arm_a` …, `timeout`, `elapsed`, "
        "`queued`, `done` …; for an exit its reason; for what could not be done, why."
    )


class GoalOutcome(BaseModel):
    """`properties` of `Goal Reached`."""

    journey_id: str
    version_id: str
    participant_id: str
    instance_key: str
    goal: str
    value: float | None = Field(description="What it is worth, where the goal names a property.")


class ExposureOutcome(BaseModel):
    """`properties` of `Experiment Exposed`: the first time a person came to an experiment."""

    journey_id: str
    version_id: str
    participant_id: str
    instance_key: str
    node: str
    experiment_id: str
    variant: str
    probability: float = Field(description="With which this variant was chosen for this person.")
    chooser: str = Field(description="What chose.", examples=["hash"])


class MessageOutcome(BaseModel):
    """`properties` of the message outcomes."""

    message_id: str
    journey_id: str
    version_id: str | None
    participant_id: str
    node: str
    channel_id: str
    channel_type: str = Field(description="The kind of the channel.", examples=["email"])
    purpose: Literal["marketing", "transactional"]
    reason: str | None = Field(description="Why it was skipped, failed or is unknown.")


class ReceiptOutcome(MessageOutcome):
    """`properties` of what became of a message after it was sent: `Message Delivered`, `Opened`,
    `Clicked`, `Bounced`, `Complained`, `Unsubscribed`, `Undelivered`; each told the first time."""

    automated: bool = Field(description="A program did it, as far as can be told.")
    by: str | None = Field(None, description="Of an automated one: what gave it away.")
    link: int | None = Field(None, description="Of a click: which link, counted from 0.")
    url: str | None = Field(None, description="Of a click: where it led.")


class ImpactRequest(BaseModel):
    """``POST /internal/v1/impact``: what journeys did with these people, who may be one."""

    model_config = ConfigDict(extra="forbid")

    profile_ids: list[UUID] = Field(min_length=1, max_length=200)


class JourneyImpact(BaseModel):
    """One version of a journey that some of these people are or were in."""

    journey_id: UUID
    name: str
    version: int
    participating: int = Field(description="Times they are in it now.")
    exited: int = Field(description="Times they left it.")


class Impact(BaseModel):
    """Journeys and sends under the ids asked for; replays do not count."""

    journeys: list[JourneyImpact] = Field(description="By name, then by version.")
    messages: dict[str, int] = Field(
        description="Messages by state: `accepted`, `skipped`, …", examples=[{"accepted": 2}]
    )


class Withdrawal(BaseModel):
    """A consent that ends now."""

    model_config = ConfigDict(extra="forbid")

    profile_id: UUID
    purpose: str = Field(min_length=1, max_length=200)
    channel: str = Field("*", max_length=32)
    contact_point: str = Field("*", max_length=255)
    at: int = Field(ge=0, lt=2**53, description="Milliseconds since the epoch.")


class GateClosing(BaseModel):
    """``POST /internal/v1/gate/withdrawals``: answered once no send is claimed or
    handed to a provider against them.

    The same withdrawals follow on profile's feed; whoever answers a person waits for this first.
    """

    model_config = ConfigDict(extra="forbid")

    withdrawals: list[Withdrawal] = Field(min_length=1, max_length=1000)
