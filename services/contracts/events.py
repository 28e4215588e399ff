"""The canonical event: what tracking writes to its log and every reader decodes.

Plain dataclasses, not pydantic: blocks hold thousands of them and msgspec decodes dataclasses at
full speed. Times are integer milliseconds since the epoch, UTC.
"""

from dataclasses import dataclass
from typing import Literal

EventType = Literal["track", "identify", "page", "screen", "group", "alias"]
TimeSource = Literal["original", "skew_shifted", "clamped", "received"]


@dataclass(slots=True)
class Event:
    """One accepted event. ``identifiers`` holds (namespace, normalised value) in priority order."""

    message_id: str
    source_id: str
    type: EventType
    event: str
    """Name of a track event; ``Page Viewed`` / ``Screen Viewed`` for page and screen calls; the
    type itself (``identify`` …) for the others."""
    subject_id: str
    identifiers: list[tuple[str, str]]
    user_id: str
    anonymous_id: str
    occurred_at: int
    original_at: int
    received_at: int
    sent_at: int | None = None
    time_source: TimeSource = "original"
    previous_id: str = ""
    group_id: str = ""
    properties: str = "{}"
    """Canonical JSON object text; decoded only by readers that need it."""
    traits: str = "{}"
    context: str = "{}"


@dataclass(slots=True)
class Outcome:
    """What the orchestrator did; travels back as an event in the outcomes partition.

    ``message_id`` is the ledger key and the state, so a repeated delivery is a duplicate.
    """

    message_id: str
    event: str
    """`Journey Entered`, `Journey Exited`, `Step Taken`, `Message Sent`, `Message Skipped` …"""
    profile_id: str
    occurred_at: int
    properties: str = "{}"
