"""A person as a graph: the profiles the person was made of, held together by merges. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """A merge that is not undone, between two profiles that never change: the origins."""

    merge_id: str
    survivor: str
    merged: str


@dataclass(frozen=True, slots=True)
class Split:
    """A person in two: ``revived`` lives again with all of ``theirs``, the rest stays as it is."""

    revived: str
    theirs: frozenset[str]


def split(ids: Collection[str], edges: Iterable[Edge], cut: Edge, living: str, dead: str) -> Split:
    """Take one merge out of a person of these profile ids, whose id is ``living``.

    The side without ``living`` gets a life of its own: under the id that the merge took from it
    (``dead``), or else, when that was itself the survivor, under the other end of the merge.
    """
    rest = [edge for edge in edges if edge.merge_id != cut.merge_id]
    side = reachable(cut.merged, rest)
    theirs = side if living not in side else frozenset(ids) - side
    revived = min(theirs, key=lambda i: (i != dead, i not in (cut.merged, cut.survivor), i))
    return Split(revived, theirs)


def reachable(start: str, edges: Iterable[Edge]) -> frozenset[str]:
    """All ids that edges connect with ``start``, itself included."""
    neighbours: dict[str, list[str]] = {}
    for edge in edges:
        neighbours.setdefault(edge.survivor, []).append(edge.merged)
        neighbours.setdefault(edge.merged, []).append(edge.survivor)
    found, open_ = {start}, [start]
    while open_:
        for each in neighbours.get(open_.pop(), ()):
            if each not in found:
                found.add(each)
                open_.append(each)
    return frozenset(found)
