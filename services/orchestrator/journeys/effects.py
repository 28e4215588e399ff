"""What a step causes beside moving a participant. Pure; ``at`` in ms since the epoch.

(participant, node, visit) names each for ever, so whoever carries one out can do it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID


@dataclass(slots=True, frozen=True)
class Send:
    """A message to be put into the ledger; its key is (participant, node, visit, channel)."""

    node: str
    visit: int
    at: int
    channel_id: UUID
    template_id: UUID | None
    payload: Mapping[str, Any] | None
    capture: Mapping[str, str] | None = None
    """What of the answer the participant waits for; None where it goes on without."""
    tags: tuple[str, ...] = ()
    expires_after_seconds: int | None = None


@dataclass(slots=True, frozen=True)
class Converted:
    """A goal was reached; each of a participant's goals counts once."""

    goal: str
    at: int
    value: float | None = None


@dataclass(slots=True, frozen=True)
class TraitsSet:
    node: str
    visit: int
    at: int
    traits: Mapping[str, Any]


@dataclass(slots=True, frozen=True)
class ListChanged:
    node: str
    visit: int
    at: int
    segment_id: UUID
    action: Literal["add", "remove"]


@dataclass(slots=True, frozen=True)
class Emitted:
    node: str
    visit: int
    at: int
    event: str
    properties: Mapping[str, Any]


@dataclass(slots=True, frozen=True)
class Called:
    """Entry into another journey."""

    node: str
    visit: int
    at: int
    journey_id: UUID
    properties: Mapping[str, Any]


@dataclass(slots=True, frozen=True)
class TaskAsked:
    node: str
    visit: int
    at: int
    due_at: int
    title: str
    department: str


@dataclass(slots=True, frozen=True)
class Exposed:
    """A person came to an experiment; only the first time counts."""

    node: str
    at: int
    experiment_id: UUID
    variant: str
    probability: float
    chooser: str


@dataclass(slots=True, frozen=True)
class Withdrawn:
    """A goal or exit rule ended the journey: what is queued for the participant is not sent."""

    at: int
    reason: str


Effect = (
    Send | Converted | Exposed | Withdrawn | TraitsSet | ListChanged | Emitted | Called | TaskAsked
)
