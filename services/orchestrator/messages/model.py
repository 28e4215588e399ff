"""Messages of the send ledger as the API shows them, and new ones as the engine writes them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.kit.ids import uuid7

MessageState = Literal[
    "queued", "held", "claimed", "handed_over", "accepted", "failed", "unknown", "skipped"
]
FINAL = ("accepted", "failed", "skipped")


@dataclass(slots=True)
class NewMessage:
    """A row for the ledger. Its key is (participant, node, visit, channel)."""

    participant_id: UUID
    node: str
    visit: int
    channel_id: UUID
    channel_type: str
    journey_id: UUID
    version_id: UUID | None
    replay_id: UUID | None
    profile_id: UUID
    template_id: UUID | None
    purpose: str
    contact: str | None
    content: dict[str, Any]
    required: list[str] = field(default_factory=list)
    """Purposes the person must have consented to when it is sent."""
    presumed: list[str] = field(default_factory=list)
    """Those of them that the law presumes."""
    skipped: str | None = None
    """Why it will never be sent; None queues it."""
    zone: str | None = None
    """Where the person lives, as far as is known."""
    tags: list[str] = field(default_factory=list)
    priority: int = 50
    expires_after_seconds: int | None = None
    id: UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message leased by the sender."""

    id: UUID
    fence: int
    channel_id: UUID
    channel_type: str
    purpose: str
    contact: str | None
    content: dict[str, Any]
    attempts: int
    created_at: int
    profile_id: UUID
    participant_id: UUID
    device_id: UUID | None = None
    """Of a push: `contact` is then the device's token, as it is now."""
    device_keys: dict[str, Any] | None = None


class Message(BaseModel):
    """One message of one participant at one node: sent, not sent and why, or not yet known."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID = Field(description="Also in the `X-Waymark-Message-Id` header or `webhook-id`.")
    journey_id: UUID
    participant_id: UUID
    replay_id: UUID | None = Field(description="Set when a replay delivered it to a sink.")
    node: str
    visit: int = Field(
        description="Which step of the participant's way this was, counted from 1; with "
        "participant, node and channel it is the key that keeps sends unique."
    )
    profile_id: UUID
    channel_id: UUID
    channel_type: str = Field(
        description="The kind of the channel; `docs/channels.md` lists them.", examples=["email"]
    )
    template_id: UUID | None
    purpose: Literal["marketing", "transactional"]
    state: MessageState = Field(
        description="`unknown`: handed over, but the answer was lost. It is never sent again by "
        "itself; settle it with `resolve`."
    )
    reason: str | None = Field(
        description="Why it was skipped or failed, or is tried again: for example `no_consent`, "
        "`unreachable`, `http_500`, `address_not_allowed` (a webhook to a private address). "
        "`dead_address: …`: nothing will ever arrive there. `exited: bought`: a goal or exit rule "
        "ended the journey first. `expired`; `capped: daily`: the cap of this name; "
        "`arbiter: welcome`: the journey with this key went first. Of a held one what it waits "
        "for: `quiet_hours`, `arbiter` or `capped: …`.",
        examples=["no_consent"],
    )
    contact: str | None = Field(
        description="The address it goes to, of a push the device's id; null where there is none, "
        "and for channels with an address of their own, such as webhooks."
    )
    content: dict[str, Any] = Field(
        description="As rendered, what the kind of channel sends: subject, text, html, "
        "data, …; or payload."
    )
    attempts: int
    provider_id: str | None
    created_at: datetime
    updated_at: datetime


class Resolution(BaseModel):
    """What a person found out about an `unknown` message."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"state": "accepted", "note": "seen in the mail log"}]},
    )

    state: Literal["accepted", "failed"]
    note: str | None = Field(None, max_length=500)
