"""What is known of a person, divided between the two that the person turns out to be. Pure.

Traits go with the identifiers they were said by. Of consents nobody knows that: what was said after
the merge stays with the profile that goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.profile.consents.ledger import Consents, ConsentState
from services.profile.merges.trait_sides import Sayings, divide_traits
from services.profile.profiles.traits import Meta, Traits

T = TypeVar("T")


@dataclass(slots=True)
class Known:
    """Of one profile. ``seen``: first and last event time in ms, where it is on record."""

    traits: Traits = field(default_factory=Traits)
    consents: Consents = field(default_factory=Consents)
    seen: tuple[int, int] | None = None

    @classmethod
    def of(cls, snapshot: Mapping[str, Any]) -> "Known":
        """From the merge ledger; what older rows did not keep is blank."""
        said: dict[str, tuple[ConsentState, int]] = {
            purpose: (state, at) for purpose, (state, at) in snapshot.get("consents", {}).items()
        }
        meta = {key: Meta(*each) for key, each in snapshot.get("trait_meta", {}).items()}
        seen = snapshot.get("seen")
        return cls(
            Traits(dict(snapshot.get("traits", {})), meta),
            Consents(said),
            None if seen is None else (seen[0], seen[1]),
        )


def divide(now: Known, ours: Known, theirs: Known, said: Sayings) -> tuple[Known, Known]:
    """(who goes on, who lives again), of ``now`` and of what both sides were before they merged.

    A consent that was withdrawn after the merge is
    withdrawn for both, as nobody may be written to against their word.
    """
    mine, other = divide_traits(now.traits, ours.traits, theirs.traits, said)
    kept = Known(
        mine,
        Consents(_apart(now.consents.current, ours.consents.current, theirs.consents.current)),
        _seen(now, ours, theirs),
    )
    revived = Known(other, theirs.consents.copy(), theirs.seen or now.seen)
    before = (ours.consents.current, theirs.consents.current)
    for purpose, (state, at) in now.consents.current.items():
        if state == "withdrawn" and all(side.get(purpose) != (state, at) for side in before):
            revived.consents.learn(purpose, state, at)
    return kept, revived


def _apart(now: Mapping[str, T], ours: Mapping[str, T], theirs: Mapping[str, T]) -> dict[str, T]:
    """``now`` without what ``theirs`` brought; what they took the place of comes back."""
    kept: dict[str, T] = {}
    for key, value in now.items():
        if theirs.get(key) != value or ours.get(key) == value:
            kept[key] = value
        elif key in ours:
            kept[key] = ours[key]
    return kept


def _seen(now: Known, ours: Known, theirs: Known) -> tuple[int, int] | None:
    if now.seen is None or ours.seen is None or theirs.seen is None:
        return now.seen
    first, last = (
        mine if then == other else then
        for then, mine, other in zip(now.seen, ours.seen, theirs.seen, strict=True)
    )
    return first, last
