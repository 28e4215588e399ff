"""Consents of a person, and how statements change them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ConsentState = Literal["granted", "withdrawn", "pending"]
ANY = "*"
PERSONALISATION = "personalisation"
"""The purpose whose withdrawal means: no content, and no choice of content, by who somebody is."""

_RANK = {"granted": 0, "pending": 1, "withdrawn": 2}


class Place(NamedTuple):
    """What a statement is about; ``*`` stands for every channel, every contact point."""

    purpose: str
    channel: str = ANY
    contact_point: str = ANY


class Held(NamedTuple):
    """What counts at a place, since when (ms). ``separate``: by a statement of its own."""

    state: ConsentState
    at: int
    separate: bool = False


class Wording(NamedTuple):
    """The text somebody agreed to."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Statement:
    """One consent an event speaks of. ``proof`` goes into the ledger as it is: language, actor,
    evidence."""

    place: Place
    state: ConsentState
    separate: bool = False
    confirmed: bool = False
    """The owner of the contact point followed a link that was sent there."""
    wording: Wording | None = None
    proof: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConsentEntry:
    """A line of the ledger. ``index``: of its event in the block; ``line``: inside that event."""

    index: int
    line: int
    profile_id: str
    statement: Statement
    at: int
    source: str
    message_id: str


@dataclass(slots=True)
class Consents:
    """What counts by place; of two statements at one time the more careful one does."""

    current: dict[Place, Held] = field(default_factory=dict)
    changed: set[Place] = field(default_factory=set)

    def learn(self, statement: Statement, at: int) -> bool:
        """Whether it belongs into the ledger: it is a statement of its own, or says something else
        than what was known (clients repeat all preferences with every event)."""
        known = self.current.get(statement.place)
        self._put(statement.place, Held(statement.state, at, statement.separate))
        return statement.separate or known is None or known.state != statement.state

    def absorb(self, other: "Consents") -> None:
        for place, held in other.current.items():
            self._put(place, held)

    def _put(self, place: Place, held: Held) -> None:
        known = self.current.get(place)
        if known is not None:
            if held.state == "pending" and known.state == "granted":
                # Whoever signs somebody up again takes nothing away from them.
                return
            if (held.at, _RANK[held.state]) < (known.at, _RANK[known.state]):
                return
            if held.state == known.state == "granted":
                held = held._replace(separate=held.separate or known.separate)
        self.current[place] = held
        if known is None or known.state != held.state:
            self.changed.add(place)
