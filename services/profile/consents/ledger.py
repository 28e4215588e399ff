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


class Decision(NamedTuple):
    """A yes or a no, and when it was said (ms)."""

    state: Literal["granted", "withdrawn"]
    at: int


class Held(NamedTuple):
    """What was said of a place: the last statement of its own, the last preference of those that
    clients repeat with every event, and the last request for a grant (ms)."""

    own: Decision | None = None
    repeated: Decision | None = None
    asked_at: int | None = None

    @property
    def decision(self) -> Decision | None:
        """What counts. Preferences repeated by a client that does not know better never undo a
        withdrawal that was a statement of its own."""
        if self.own is None or self.repeated is None:
            return self.own or self.repeated
        return self.own if self.own.state == "withdrawn" else _later(self.own, self.repeated)

    @property
    def state(self) -> ConsentState:
        decision = self.decision
        return "pending" if decision is None else decision.state

    @property
    def at(self) -> int:
        decision = self.decision
        return (self.asked_at or 0) if decision is None else decision.at

    @property
    def told_at(self) -> int:
        """For readers that keep the later of two: behind everything that was said before."""
        return max((d.at for d in (self.own, self.repeated) if d), default=self.at)

    @property
    def waits(self) -> bool:
        """Whether a request waits for its confirmation; it neither takes a grant away nor undoes a
        withdrawal before."""
        if self.state == "granted" or self.asked_at is None:
            return False
        return self.decision is None or self.asked_at >= self.at

    @property
    def separate(self) -> bool:
        """Whether it was granted by a statement of its own."""
        return self.state == "granted" and self.own is not None


def _later(one: Decision, other: Decision) -> Decision:
    return max(one, other, key=lambda decision: (decision.at, decision.state == "withdrawn"))


def _last(one: Decision | None, other: Decision | None) -> Decision | None:
    return _later(one, other) if one and other else one or other


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
        than the preferences before."""
        known = self.current.get(statement.place, Held())
        self._put(statement.place, _held(statement, at))
        repeated = known.repeated
        return statement.separate or repeated is None or repeated.state != statement.state

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]] | Mapping[str, Sequence[Any]]) -> "Consents":
        """Of ``rows``; those kept before consents had levels are state and time by purpose."""
        if isinstance(rows, Mapping):
            return cls({Place(p): Held(repeated=Decision(*said)) for p, said in rows.items()})
        levels = len(Place._fields)
        return cls({Place(*row[:levels]): _read(*row[levels:]) for row in rows})

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
        if known is not None:
            asked = [h.asked_at for h in (known, held) if h.asked_at is not None]
            held = Held(
                _last(known.own, held.own),
                _last(known.repeated, held.repeated),
                max(asked, default=None),
            )
        self.current[place] = held
        if known is None or (known.state, known.waits) != (held.state, held.waits):
            self.changed.add(place)


def _read(own: Sequence[Any] | None, repeated: Sequence[Any] | None, asked_at: int | None) -> Held:
    return Held(
        Decision(*own) if own else None, Decision(*repeated) if repeated else None, asked_at
    )


def _held(statement: Statement, at: int) -> Held:
    if statement.state == "pending":
        return Held(asked_at=at)
    decision = Decision(statement.state, at)
    return Held(own=decision) if statement.separate else Held(repeated=decision)
