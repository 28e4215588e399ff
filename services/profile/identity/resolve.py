"""Whose event is it? Identifiers of a block of events → profiles, links, merges, conflicts. Pure.

The rules are told in ``docs/identity.md``: a profile holds at most one ``user_id``; anonymous
profiles link to known ones by themselves; an identifier that may not come to the profile of those
before it, by priority, is left where it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.contracts.identity import ConflictReason
from services.profile.identity.joint import MAX_IDENTIFIERS, Joint
from services.profile.identity.limits import BUILT_IN, Era, at
from services.profile.identity.nodes import Identifier as Identifier
from services.profile.identity.nodes import Node as Node


class Sighting(NamedTuple):
    """What one event says about identity; ``identifiers`` by falling priority, first = subject."""

    seq: int
    subject_id: str
    identifiers: Sequence[Identifier]
    at: int = 0
    """Time of the event, ms."""


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
    reason: ConflictReason


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


def linking(sightings: Iterable[Sighting], owners: Mapping[Identifier, str]) -> set[str] | None:
    """The known profiles that may come to hold more, whose limits have to be known; None where no
    event says of two identifiers that they belong together, as far as that is not known."""
    found: set[str] | None = None
    for sighting in sightings:
        if len(sighting.identifiers) > 1:
            held = {owners.get(identifier) for identifier in sighting.identifiers}
            if len(held) > 1 or None in held:
                found = (found or set()) | {owner for owner in held if owner is not None}
    return found


def resolve(
    sightings: Iterable[Sighting],
    owners: Mapping[Identifier, str],
    nodes: Iterable[Node],
    eras: Sequence[Era] = BUILT_IN,
) -> Resolution:
    """Apply events in log order to what is known of their identifiers.

    ``owners`` maps every known identifier of the events to a profile in ``nodes``; ``eras`` are the
    limits by the place in the log from which they count. The outcome does not depend on where the
    log is cut into blocks.
    """
    result = Resolution(nodes={node.profile_id: node.copy() for node in nodes})
    known = dict(owners)
    for index, sighting in enumerate(sightings):
        named = sighting.identifiers
        owner = known.get(named[0]) if len(named) == 1 else None
        # The common case, a known person by one identifier, takes a twentieth of the time.
        if owner is None:
            owner = _place(index, sighting, known, result, eras)
        else:
            owner = result.canonical(owner)
        result.owners.append(owner)
    return result


def _place(
    index: int,
    sighting: Sighting,
    known: dict[Identifier, str],
    result: Resolution,
    eras: Sequence[Era],
) -> str:
    named = list(dict.fromkeys(sighting.identifiers))
    held = {i: result.canonical(known[i]) for i in named if i in known}
    if not held and len({namespace for namespace, _ in named}) == len(named) <= MAX_IDENTIFIERS:
        # Nothing limits what a new profile has of different namespaces.
        owner = _join(index, sighting, {}, {}, result)
        result.anchors.update((identifier, None) for identifier in named)
        _link(index, sighting.at, named, owner, known, result)
        return owner
    if len(held) == len(named) and len(set(held.values())) == 1:
        return held[named[0]]
    joint = Joint(sighting.at, at(eras, sighting.seq))
    taken: list[Identifier] = []
    refused: list[tuple[Identifier, ConflictReason]] = []
    for identifier in named:
        node = result.nodes[held[identifier]] if identifier in held else None
        reason = joint.objection(identifier, node)
        if reason is None:
            joint.add(identifier, node)
            taken.append(identifier)
        else:
            refused.append((identifier, reason))
    # By profile its identifier of the highest priority, which the last assignment is.
    seen = {held[i]: i for i in reversed(taken) if i in held}
    anchor = next((i for i in taken if i in held), None)
    owner = _join(index, sighting, joint.nodes, seen, result)
    for identifier in joint.new:
        result.anchors[identifier] = anchor
    _link(index, sighting.at, joint.new, owner, known, result)
    result.conflicts += [
        Conflict(index, owner, identifier, held.get(identifier), reason)
        for identifier, reason in refused
    ]
    return owner


def _join(
    index: int,
    sighting: Sighting,
    joined: Mapping[str, Node],
    seen: Mapping[str, Identifier],
    result: Resolution,
) -> str:
    """The profile that survives: the known one, else the oldest, else a new one.

    ``seen``: the first identifier of each of the profiles ``joined``.
    """
    if not joined:
        profile_id = result.canonical(sighting.subject_id)
        if profile_id not in result.nodes:
            result.nodes[profile_id] = Node(profile_id, None, sighting.seq, 0)
            result.created[profile_id] = index
        return profile_id
    winner, *losers = sorted(joined.values(), key=seniority)
    for loser in losers:
        both = seen[winner.profile_id], seen[loser.profile_id]
        winner.identifier_count += loser.identifier_count
        winner.merge_count += loser.merge_count + 1
        for namespace, times in loser.linked.items():
            winner.linked[namespace] = sorted(winner.linked.get(namespace, []) + times)
        result.became[loser.profile_id] = winner.profile_id
        result.merges.append(
            Merge(index, winner.profile_id, loser.profile_id, loser.created_seq, both)
        )
        del result.nodes[loser.profile_id]
    return winner.profile_id


def seniority(node: Node) -> tuple[bool, int, str]:
    """Of profiles that become one, the one with the least survives: known, then older."""
    return node.user_id is None, node.created_seq, node.profile_id


def _link(
    index: int,
    at_ms: int,
    new: Iterable[Identifier],
    owner: str,
    known: dict[Identifier, str],
    result: Resolution,
) -> None:
    node = result.nodes[owner]
    for identifier in new:
        namespace, value = identifier
        known[identifier] = owner
        result.links[identifier] = (owner, index)
        node.identifier_count += 1
        times = node.linked.get(namespace)
        node.linked[namespace] = [at_ms] if times is None else sorted([*times, at_ms])
        if namespace == "user_id":
            node.user_id = value
