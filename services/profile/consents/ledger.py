"""Consents of a person, and how statements change them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

ConsentState = Literal["granted", "withdrawn", "pending"]
ANY = "*"
PERSONALISATION = "personalisation"
"""The purpose whose withdrawal means: no content, and no choice of content, by who somebody is."""


class Place(NamedTuple):
    """What a statement is about; ``*`` stands for every channel, every contact point."""

    purpose: str
    channel: str = ANY
    contact_point: str = ANY


class Held(NamedTuple):
    """What counts at a place, since when (ms). ``separate``: by a statement of its own;
    ``asked_at``: when a withdrawal was asked to be undone, which waits for its confirmation."""

    state: ConsentState
    at: int
    separate: bool = False
    asked_at: int | None = None

    @property
    def waits(self) -> bool:
        return self.state == "pending" or self.asked_at is not None


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
    """What counts by place, whatever the order in which statements come."""

    current: dict[Place, Held] = field(default_factory=dict)
    changed: set[Place] = field(default_factory=set)

    def learn(self, statement: Statement, at: int) -> bool:
        """Whether it belongs into the ledger: it is a statement of its own, or says something else
        than what was known (clients repeat all preferences with every event)."""
        known = self.current.get(statement.place)
        self._put(statement.place, Held(statement.state, at, statement.separate))
        return statement.separate or known is None or known.state != statement.state

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]] | Mapping[str, Sequence[Any]]) -> "Consents":
        """Of ``rows``; those kept before consents had levels are state and time by purpose."""
        if isinstance(rows, Mapping):
            return cls({Place(purpose): Held(*held) for purpose, held in rows.items()})
        levels = len(Place._fields)
        return cls({Place(*row[:levels]): Held(*row[levels:]) for row in rows})

    def rows(self) -> list[tuple[Any, ...]]:
        """As JSON keeps them: each place and what counts there, flat."""
        return [(*place, *held) for place, held in sorted(self.current.items())]

    def copy(self) -> "Consents":
        return Consents(dict(self.current))

    def absorb(self, other: "Consents") -> None:
        for place, held in other.current.items():
            self._put(place, held)

    def _put(self, place: Place, held: Held) -> None:
        known = self.current.get(place)
        found = held if known is None else _both(known, held)
        self.current[place] = found
        if known is None or (known.state, known.waits) != (found.state, found.waits):
            self.changed.add(place)


def _both(one: Held, other: Held) -> Held:
    """The later of two decisions, of two at one time the withdrawal. A request decides nothing:
    whoever signs somebody up again neither takes a grant away nor undoes a withdrawal."""
    decided = [held for held in (one, other) if held.state != "pending"]
    asked_at = max(h.at if h.state == "pending" else h.asked_at or 0 for h in (one, other))
    if not decided:
        return Held("pending", asked_at, one.separate or other.separate)
    last = max(decided, key=lambda held: (held.at, held.state == "withdrawn"))
    if last.state == "granted":
        separate = any(h.separate for h in decided if h.state == "granted")
        return last._replace(separate=separate, asked_at=None)
    return last._replace(asked_at=asked_at if asked_at >= last.at else None)
