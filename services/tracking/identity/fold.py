"""Profile's changes → where subjects belong. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec


class LinkData(msgspec.Struct):
    subject_id: str | None = None
    merged_id: str | None = None
    subject_ids: list[str] = msgspec.field(default_factory=list)


class Link(msgspec.Struct):
    """The part of a change that says who belongs to whom, or who is to be erased."""

    type: str
    profile_id: str
    data: LinkData
    at: int = 0


@dataclass(slots=True)
class Moves:
    """``profiles``: merged profile → survivor; ``subjects``: subject → profile, both final.

    Apply ``profiles`` to what is stored first, then ``subjects``.
    """

    profiles: dict[str, str] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)


def fold(links: Iterable[Link]) -> Moves:
    """What remains to be done after all ``links``, in their order."""
    moves = Moves()
    for link in links:
        if link.type == "identity.linked" and link.data.subject_id:
            moves.subjects[link.data.subject_id] = link.profile_id
        elif link.type == "profile.merged" and link.data.merged_id:
            _merge(moves, link.data.merged_id, link.profile_id)
    return moves


def _merge(moves: Moves, merged: str, survivor: str) -> None:
    for owned in (moves.profiles, moves.subjects):
        for each, owner in owned.items():
            if owner == merged:
                owned[each] = survivor
    moves.profiles[merged] = survivor
    # A profile's id is the id of its first subject.
    moves.subjects[merged] = survivor
