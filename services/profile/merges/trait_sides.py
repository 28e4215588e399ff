"""The traits of a person, divided between the two that the person turns out to be. Pure.

The history of traits knows whose identifiers said what. What it does not hold any more, or never
did, is taken from what both were before they merged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from services.profile.profiles.traits import Meta, Traits
from services.profile.traits.ledger import Line
from services.profile.traits.replay import replay

Place = tuple[str, int]
"""(trait, place in the log)."""
Held = tuple[Any, Meta]
"""A value and what it rests on; the value of a deleted trait is None."""


@dataclass(frozen=True, slots=True)
class Sayings:
    """What the history holds: of both sides, and the places of what others said, who were one with
    them once."""

    ours: list[Line] = field(default_factory=list)
    theirs: list[Line] = field(default_factory=list)
    others: set[Place] = field(default_factory=set)


def divide_traits(
    now: Traits, ours: Traits, theirs: Traits, said: Sayings
) -> tuple[Traits, Traits]:
    """(who goes on, who lives again), of ``now`` and of what both sides were before they merged.

    A value that nobody knows the sayer of stays with the side that goes on.
    """
    places = (_places(said.ours), _places(said.theirs))
    known = places[0] | places[1] | said.others
    lost = {key: held for key, held in _held(now).items() if (key, held[1].seq) not in known}
    before = [
        {key: held for key, held in _held(side).items() if (key, held[1].seq) not in known}
        for side in (ours, theirs)
    ]
    unsaid = [
        {
            k: held
            for k, held in lost.items()
            if before[1].get(k) != held or before[0].get(k) == held
        },
        {k: held for k, held in lost.items() if before[1].get(k) == held},
    ]
    return (
        _side(now, ours, said.ours, before[0], unsaid[0]),
        _side(now, theirs, said.theirs, before[1], unsaid[1]),
    )


def _side(
    now: Traits,
    snapshot: Traits,
    lines: list[Line],
    before: dict[str, Held],
    unsaid: dict[str, Held],
) -> Traits:
    """One side: ``before`` and ``unsaid`` are its own of then and of now without a line."""
    made = replay([*lines, *(_line(key, held) for key, held in before.items())])
    own = _places(lines)
    # A value that was repeated has no new line but a later time, which these know.
    for known in (snapshot, now):
        for key, meta in known.meta.items():
            if (key, meta.seq) in own and (known is now or made.meta[key].seq == meta.seq):
                _put(made, key, (known.values.get(key), meta))
    for key, held in unsaid.items():
        _put(made, key, held)
    return made.copy()


def _put(traits: Traits, key: str, held: Held) -> None:
    value, traits.meta[key] = held
    if value is None:
        traits.values.pop(key, None)
    else:
        traits.values[key] = value


def _held(traits: Traits) -> dict[str, Held]:
    return {key: (traits.values.get(key), meta) for key, meta in traits.meta.items()}


def _places(lines: Iterable[Line]) -> frozenset[Place]:
    return frozenset((line.key, line.seq) for line in lines)


def _line(key: str, held: Held) -> Line:
    value, meta = held
    return Line("", "", key, value, meta.at, meta.source, meta.priority, meta.seq, None)
