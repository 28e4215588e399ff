"""Whose event is it? Identifiers of a block of events → profiles, links, merges, conflicts. Pure.

The rules are told in ``docs/identity.md``: a profile holds at most one
``user_id``; anonymous profiles link to known ones by themselves; a link that would join two known
people is refused by dropping the event's lowest-priority identifier.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

Identifier = tuple[str, str]
"""(namespace, normalised value)."""

MAX_IDENTIFIERS = 1000

Reason = Literal["two_user_ids", "too_many_identifiers"]


@dataclass(slots=True)
class Node:
    """A profile as far as identity goes. ``created_seq`` is its age: its place in the log."""

    profile_id: str
    user_id: str | None
    created_seq: int
    identifier_count: int


class Sighting(NamedTuple):
    """What one event says about identity; ``identifiers`` by falling priority, first = subject."""

    seq: int
    subject_id: str
    identifiers: Sequence[Identifier]


@dataclass(frozen=True, slots=True)
class Merge:
    """Before the event at ``index``, ``loser`` became an alias of ``winner``.

    ``seen``: the event's identifiers that were theirs (the winner's, the loser's), by which it
    was noticed; None where a person decided it, who alone merges one with a ``user_id`` away.
    """

    index: int
    winner: str
    loser: str
    loser_seq: int
    seen: tuple[Identifier, Identifier] | None = None
    loser_user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """The event at ``index`` stayed on ``profile_id``; ``identifier`` was left where it was."""

    index: int
    profile_id: str
    identifier: Identifier
    other_id: str | None
    reason: Reason


@dataclass(slots=True)
class Resolution:
    """``owners[i]`` is the profile of event i when it happened, before any later merge."""

    owners: list[str] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    """New profiles and the index of their first event, those merged away later included."""
    links: dict[Identifier, tuple[str, int]] = field(default_factory=dict)
    """New identifiers: the profile they were linked to then, and the index of the event."""
    anchors: dict[Identifier, Identifier | None] = field(default_factory=dict)
    """By new identifier the known one of its event that says whose it is; None: a new profile's."""
    merges: list[Merge] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    nodes: dict[str, Node] = field(default_factory=dict)
    """The living profiles, new ones and those of the caller, as they are after the block."""
    became: dict[str, str] = field(default_factory=dict)

    def canonical(self, profile_id: str) -> str:
        """The living profile an id stands for after the block."""
        while profile_id in self.became:
            profile_id = self.became[profile_id]
        return profile_id


def resolve(
    sightings: Iterable[Sighting],
    owners: Mapping[Identifier, str],
    nodes: Iterable[Node],
) -> Resolution:
    """Apply events in log order to what is known of their identifiers.

    ``owners`` maps every known identifier of the events to a profile in ``nodes``. The outcome
    does not depend on where the log is cut into blocks.
    """
    result = Resolution(nodes={node.profile_id: replace(node) for node in nodes})
    known = dict(owners)
    for index, sighting in enumerate(sightings):
        named = sighting.identifiers
        owner = known.get(named[0]) if len(named) == 1 else None
        # The common case, a known person by one identifier, takes a twentieth of the time.
        owner = _place(index, sighting, known, result) if owner is None else result.canonical(owner)
        result.owners.append(owner)
    return result


def _place(index: int, sighting: Sighting, known: dict[Identifier, str], result: Resolution) -> str:
    kept = list(dict.fromkeys(sighting.identifiers))
    held = {i: result.canonical(known[i]) for i in kept if i in known}
    if len(held) == len(kept) and len(set(held.values())) == 1:
        return held[kept[0]]
    dropped: list[tuple[Identifier, Reason]] = []
    while len(kept) > 1 and (reason := _objection(kept, held, result.nodes)) is not None:
        dropped.append((kept.pop(), reason))
    # By profile its identifier of the highest priority, which the last assignment is.
    seen = {held[i]: i for i in reversed(kept) if i in held}
    anchor = next((i for i in kept if i in held), None)
    owner = _join(index, sighting, seen, result)
    node = result.nodes[owner]
    for identifier in kept:
        if identifier not in held:
            known[identifier] = owner
            result.links[identifier] = (owner, index)
            result.anchors[identifier] = anchor
            node.identifier_count += 1
            if identifier[0] == "user_id":
                node.user_id = identifier[1]
    for identifier, reason in dropped:
        # One that is on this very profile already lost nothing by being dropped.
        if held.get(identifier) != owner:
            result.conflicts.append(
                Conflict(index, owner, identifier, held.get(identifier), reason)
            )
    return owner


def _objection(
    kept: list[Identifier], held: Mapping[Identifier, str], nodes: Mapping[str, Node]
) -> Reason | None:
    """Why these identifiers may not all be one profile's, or None."""
    joined = [nodes[p] for p in {held[i] for i in kept if i in held}]
    user_ids = {node.user_id for node in joined if node.user_id is not None}
    # A known one may be the second of its profile, which only an explicit merge can bring about.
    user_ids |= {i[1] for i in kept if i[0] == "user_id" and i not in held}
    if len(user_ids) > 1:
        return "two_user_ids"
    new = sum(i not in held for i in kept)
    if sum(node.identifier_count for node in joined) + new > MAX_IDENTIFIERS:
        # Only what would grow a profile is refused; an event on known identifiers passes.
        return "too_many_identifiers" if new or len(joined) > 1 else None
    return None


def _join(
    index: int, sighting: Sighting, seen: Mapping[str, Identifier], result: Resolution
) -> str:
    """The profile that survives: the known one, else the oldest, else a new one.

    ``seen``: profiles of the event's identifiers and the first identifier of each.
    """
    if not seen:
        profile_id = result.canonical(sighting.subject_id)
        if profile_id not in result.nodes:
            result.nodes[profile_id] = Node(profile_id, None, sighting.seq, 0)
            result.created[profile_id] = index
        return profile_id
    winner, *losers = sorted((result.nodes[p] for p in seen), key=seniority)
    for loser in losers:
        both = seen[winner.profile_id], seen[loser.profile_id]
        winner.identifier_count += loser.identifier_count
        result.became[loser.profile_id] = winner.profile_id
        result.merges.append(
            Merge(index, winner.profile_id, loser.profile_id, loser.created_seq, both)
        )
        del result.nodes[loser.profile_id]
    return winner.profile_id


def seniority(node: Node) -> tuple[bool, int, str]:
    """Of profiles that become one, the one with the least survives: known, then older."""
    return node.user_id is None, node.created_seq, node.profile_id
