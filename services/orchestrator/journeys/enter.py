"""Who may enter, under which instance key. Pure: the state of anchors is passed in.

At equal times the order is: anchor events, entry events, barring events, awaited events, timers.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from services.orchestrator.journeys.compiled import (
    Compiled,
    Happening,
    comparable,
    look_up,
    match_key,
)
from services.orchestrator.journeys.entries import ANCHOR_KEY, ApiEntry, EventEntry

MAX_KEY_LENGTH = 200


@dataclass(slots=True)
class AnchorState:
    """Of one person and match key: the latest anchor, and the latest event that bars entry."""

    at: int | None = None
    message_id: str | None = None
    blocked_at: int | None = None


@dataclass(slots=True, frozen=True)
class Admission:
    """A person who may enter if the entry ledger agrees."""

    instance_key: str
    anchor_at: int | None = None
    anchor_message_id: str | None = None


def anchor_key(compiled: Compiled, event: Happening) -> str | None:
    """Where the anchor state of this event is kept; None when it has none."""
    entry = compiled.event_entry
    if entry is None or entry.anchor is None:
        return None
    return match_key(entry.anchor.match, event.properties)


def is_anchor(compiled: Compiled, event: Happening) -> bool:
    entry = compiled.event_entry
    return entry is not None and entry.anchor is not None and entry.anchor.event == event.event


def is_barring(compiled: Compiled, event: Happening) -> bool:
    entry = compiled.event_entry
    return (
        entry is not None
        and entry.unless is not None
        and entry.unless.event == event.event
        and compiled.unless_filter(event.properties, event.context)
    )


def is_entry(compiled: Compiled, event: Happening) -> bool:
    entry = compiled.event_entry
    return (
        entry is not None
        and entry.event == event.event
        and compiled.entry_filter(event.properties, event.context)
    )


def observe_anchor(state: AnchorState, event: Happening) -> None:
    """Of anchors at one time the greatest message id stands, in any order of arrival."""
    if (event.at, event.message_id) > (state.at or -1, state.message_id or ""):
        state.at, state.message_id = event.at, event.message_id


def observe_barring(state: AnchorState, event: Happening) -> None:
    state.blocked_at = max(event.at, state.blocked_at or event.at)


def admit(compiled: Compiled, event: Happening, state: AnchorState | None) -> Admission | None:
    """Whether the entry event (see `is_entry`) lets its person in, and under which key.

    `state` is the anchor state before this event; needed only where the entry has an anchor.
    """
    entry = compiled.event_entry
    assert entry is not None
    if entry.anchor is None:
        key = instance_key(entry, event.properties)
        return None if key is None else Admission(key)
    if state is None or state.at is None or state.at > event.at:
        return None
    if state.blocked_at is not None and state.at <= state.blocked_at < event.at:
        return None
    key = instance_key(entry, event.properties, f"{state.at}:{state.message_id}")
    return None if key is None else Admission(key, state.at, state.message_id)


def instance_key(
    entry: EventEntry | ApiEntry, properties: Mapping[str, Any], anchor: str | None = None
) -> str | None:
    """None when a property of the key is missing: such an event belongs to no instance."""
    if not entry.instance_key:
        return ""
    parts: list[str] = []
    for path in entry.instance_key:
        value = anchor if path == ANCHOR_KEY else look_up(properties, path)
        text = comparable(value)
        if text is None:
            return None
        parts.append(text)
    key = "[" + ",".join(parts) + "]"
    if len(key) <= MAX_KEY_LENGTH:
        return key
    return "sha256:" + hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def ledger_key(compiled: Compiled, instance_key: str) -> str:
    """The part of the key that re-entry is judged by: one at a time per person ignores it."""
    return "" if compiled.graph.entry.entry_mode == "after_exit" else instance_key
