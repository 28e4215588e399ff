"""What is known of a person, divided between the two that the person turns out to be. Pure.

Until it is known by whose identifiers a value was said, what was said after the merge stays with
the profile that goes on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.profile.consents.ledger import Consents, Held
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
        meta = {key: Meta(*each) for key, each in snapshot.get("trait_meta", {}).items()}
        seen = snapshot.get("seen")
        return cls(
            Traits(dict(snapshot.get("traits", {})), meta),
            Consents.of(snapshot.get("consents", ())),
            None if seen is None else (seen[0], seen[1]),
        )


def divide(now: Known, ours: Known, theirs: Known) -> tuple[Known, Known]:
    """(who goes on, who lives again), of ``now`` and of what both sides were before they merged.

    ``theirs`` is what lives again as it was. A consent that was withdrawn after the merge is
    withdrawn for both, as nobody may be written to against their word.
    """
    kept = Known(
        _traits(_apart(_pairs(now.traits), _pairs(ours.traits), _pairs(theirs.traits))),
        _kept_consents(now.consents, ours.consents, theirs.consents),
        _seen(now, ours, theirs),
    )
    revived = Known(theirs.traits.copy(), theirs.consents.copy(), theirs.seen or now.seen)
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


def _pairs(traits: Traits) -> dict[str, tuple[Any, Meta]]:
    """Value and what it rests on by key; the value of a deleted trait is None."""
    return {key: (traits.values.get(key), meta) for key, meta in traits.meta.items()}


def _traits(pairs: Mapping[str, tuple[Any, Meta]]) -> Traits:
    return Traits(
        {key: value for key, (value, _) in pairs.items() if value is not None},
        {key: meta for key, (_, meta) in pairs.items()},
    )
