"""Consents of a person, and how statements change them. Pure."""

from dataclasses import dataclass, field
from typing import Literal

ConsentState = Literal["granted", "withdrawn"]


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

    def copy(self) -> "Consents":
        return Consents(dict(self.current))

    def absorb(self, other: "Consents") -> None:
        for purpose, (state, at) in other.current.items():
            self.learn(purpose, state, at)
