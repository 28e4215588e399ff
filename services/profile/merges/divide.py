"""What is known of a person, divided between the two that the person turns out to be. Pure.

Traits go with the identifiers they were said by. Of consents nobody knows that: what was said after
the merge stays with the profile that goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.profile.consents.ledger import Consents, Held
from services.profile.merges.trait_sides import Sayings, divide_traits
from services.profile.profiles.traits import Meta, Traits


@dataclass(slots=True)
class Known:
    """Of one profile. ``seen``: first and last event time in ms, where it is on record."""

    traits: Traits = field(default_factory=Traits)
    consents: Consents = field(default_factory=Consents)
    seen: tuple[int, int] | None = None

    @classmethod
    def of(cls, snapshot: Mapping[str, Any]) -> "Known":
        """From the merge ledger; what older rows did not keep is blank."""
        meta = {key: Meta(*each) for key, each in snapshot.get("trait_meta", {}).items()}
        seen = snapshot.get("seen")
        return cls(
            Traits(dict(snapshot.get("traits", {})), meta),
            Consents.of(snapshot.get("consents", ())),
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
        _kept_consents(now.consents, ours.consents, theirs.consents),
        _seen(now, ours, theirs),
    )
    revived = Known(other, theirs.consents.copy(), theirs.seen or now.seen)
    before = (ours.consents.current, theirs.consents.current)
    ended = {
        place: held
        for place, held in now.consents.current.items()
        if held.state == "withdrawn" and not any(_says(side.get(place), held) for side in before)
    }
    revived.consents.absorb(Consents(ended))
    return kept, revived


def _says(known: Held | None, held: Held) -> bool:
    return known is not None and (known.state, known.at) == (held.state, held.at)


def _kept_consents(now: Consents, ours: Consents, theirs: Consents) -> Consents:
    """Where nothing was said since the merge, what it was before: two grants that became one may
    hold something of each."""
    merged = ours.copy()
    merged.absorb(theirs)
    kept = {
        place: ours.current.get(place) if merged.current.get(place) == held else held
        for place, held in now.current.items()
    }
    return Consents({place: held for place, held in kept.items() if held is not None})


def _seen(now: Known, ours: Known, theirs: Known) -> tuple[int, int] | None:
    if now.seen is None or ours.seen is None or theirs.seen is None:
        return now.seen
    first, last = (
        mine if then == other else then
        for then, mine, other in zip(now.seen, ours.seen, theirs.seen, strict=True)
    )
    return first, last
