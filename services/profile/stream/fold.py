"""What the events of a block say about traits and consents, folded in log order. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from services.contracts.events import Event
from services.profile.identity.resolve import Merge, Resolution

MAX_TRAITS = 500
"""Keys of one profile; further new ones are left out."""

ConsentState = Literal["granted", "withdrawn"]


@dataclass(slots=True)
class Traits:
    """Traits and, per key, the ms at which the value was said. A time without a value: deleted."""

    values: dict[str, Any] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def learn(self, said: Mapping[str, Any], at: int) -> None:
        """Last write by event time wins; of two at the same time the later in the log."""
        for key, value in said.items():
            known_at = self.times.get(key)
            if known_at is None and len(self.times) >= MAX_TRAITS:
                continue
            if known_at is None or at >= known_at:
                self._put(key, value, at)

    def absorb(self, other: "Traits") -> None:
        """A merge: the survivor keeps what it knows, blanks are filled."""
        for key, at in other.times.items():
            if key not in self.times and len(self.times) < MAX_TRAITS:
                self._put(key, other.values.get(key), at)

    def _put(self, key: str, value: Any, at: int) -> None:
        self.times[key] = at
        if value == self.values.get(key) and type(value) is type(self.values.get(key)):
            return
        self.changed.add(key)
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """A line of the ledger: a purpose was said to be in another state than before."""

    profile_id: str
    purpose: str
    state: ConsentState
    at: int
    source: str
    message_id: str


@dataclass(slots=True)
class Consents:
    """State and time by purpose; of two statements at one time a withdrawal wins."""

    current: dict[str, tuple[ConsentState, int]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def learn(self, purpose: str, state: ConsentState, at: int) -> bool:
        """Whether the statement differs from what was known, and so belongs into the ledger."""
        known = self.current.get(purpose)
        if known is None or (at, state == "withdrawn") >= (known[1], known[0] == "withdrawn"):
            self.current[purpose] = (state, at)
            if known is None or known[0] != state:
                self.changed.add(purpose)
        return known is None or known[0] != state

    def absorb(self, other: "Consents") -> None:
        for purpose, (state, at) in other.current.items():
            self.learn(purpose, state, at)


@dataclass(slots=True)
class Said:
    """What one event says about its person."""

    traits: dict[str, Any]
    consents: dict[str, ConsentState]


@dataclass(slots=True)
class Folded:
    traits: dict[str, Traits]
    consents: dict[str, Consents]
    ledger: list[ConsentEntry] = field(default_factory=list)


def said(event: Event) -> Said | None:
    """Traits and consents of an event, or None, which is the common case and costs little."""
    traits: dict[str, Any] = {}
    consents: dict[str, ConsentState] = {}
    # Looking for the key in the text spares decoding contexts that hold neither.
    if '"traits"' in event.context or '"consent"' in event.context:
        context = _object(event.context)
        traits.update(_mapping(context.get("traits")))
        preferences = _mapping(_mapping(context.get("consent")).get("categoryPreferences"))
        consents = {
            purpose: "granted" if state else "withdrawn"
            for purpose, state in preferences.items()
            if isinstance(state, bool) and purpose
        }
    # The traits of a group call are the group's, not the person's.
    if event.type == "identify" and event.traits != "{}":
        traits.update(_object(event.traits))
    return Said(traits, consents) if traits or consents else None


def fold(events: Iterable[tuple[int, Event, Said]], resolution: Resolution, folded: Folded) -> None:
    """Apply ``(index, event, said)`` in order, and the merges where they happened.

    ``folded`` starts with the profiles known before the block; missing ones are blank.
    """
    merges = iter(resolution.merges)
    pending = next(merges, None)
    for index, event, statement in events:
        while pending is not None and pending.index <= index:
            _absorb(pending, folded)
            pending = next(merges, None)
        _learn(resolution.owners[index], event, statement, folded)
    if pending is not None:
        for merge in (pending, *merges):
            _absorb(merge, folded)


def _absorb(merge: Merge, folded: Folded) -> None:
    if (traits := folded.traits.get(merge.loser)) is not None:
        folded.traits.setdefault(merge.winner, Traits()).absorb(traits)
    if (consents := folded.consents.get(merge.loser)) is not None:
        folded.consents.setdefault(merge.winner, Consents()).absorb(consents)


def _learn(profile_id: str, event: Event, statement: Said, folded: Folded) -> None:
    if statement.traits:
        folded.traits.setdefault(profile_id, Traits()).learn(statement.traits, event.occurred_at)
    for purpose, state in statement.consents.items():
        known = folded.consents.setdefault(profile_id, Consents())
        if known.learn(purpose, state, event.occurred_at):
            folded.ledger.append(
                ConsentEntry(
                    profile_id, purpose, state, event.occurred_at, event.source_id, event.message_id
                )
            )


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return _mapping(value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
