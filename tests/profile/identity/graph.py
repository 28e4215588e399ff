"""The graph of identity as the database would hold it, for pure tests."""

from collections.abc import Sequence

from services.profile.identity.limits import BUILT_IN, Era
from services.profile.identity.resolve import (
    Conflict,
    Identifier,
    Node,
    Sighting,
    linking,
    resolve,
)


def sight(*events: Sequence[Identifier], at: Sequence[int] = ()) -> list[Sighting]:
    """Events by their identifiers; a subject is named like the identifier that makes it."""
    times = at or [0] * len(events)
    return [
        Sighting(seq, ":".join(named[0]), named, when)
        for seq, (named, when) in enumerate(zip(events, times, strict=True))
    ]


class Graph:
    """Reads a log that comes in blocks; of a profile it keeps what the tables keep."""

    def __init__(self, eras: Sequence[Era] = BUILT_IN) -> None:
        self.eras = eras
        self.owners: dict[Identifier, str] = {}
        self.linked_at: dict[Identifier, int] = {}
        self.nodes: dict[str, Node] = {}
        self.aliases: dict[str, str] = {}
        self.placed: list[str] = []
        self.conflicts: list[Conflict] = []

    def read(self, sightings: list[Sighting]) -> None:
        named = {i for s in sightings for i in s.identifiers}
        owners = {i: self.owners[i] for i in named if i in self.owners}
        growing = linking(sightings, owners) or set()
        nodes = [self._loaded(p, with_history=p in growing) for p in set(owners.values())]
        result = resolve(sightings, owners, nodes, self.eras)
        self.placed += result.owners
        self.conflicts += result.conflicts
        for merge in result.merges:
            self.aliases[merge.loser] = merge.winner
            self.nodes.pop(merge.loser, None)
        self.nodes |= result.nodes
        linked = {i: owner for i, (owner, _) in result.links.items()}
        self.linked_at |= {i: sightings[index].at for i, (_, index) in result.links.items()}
        self.owners = {i: self.living(p) for i, p in (self.owners | linked).items()}

    def living(self, profile_id: str) -> str:
        while profile_id in self.aliases:
            profile_id = self.aliases[profile_id]
        return profile_id

    def people(self) -> set[frozenset[Identifier]]:
        """The identifiers of each profile, whatever its id is."""
        held: dict[str, set[Identifier]] = {}
        for identifier, owner in self.owners.items():
            held.setdefault(owner, set()).add(identifier)
        return set(map(frozenset, held.values()))

    def rows(self) -> dict[str, tuple[str | None, int, int]]:
        """What the table of profiles says of each."""
        return {
            p: (node.user_id, node.created_seq, node.identifier_count)
            for p, node in self.nodes.items()
        }

    def _loaded(self, profile_id: str, *, with_history: bool) -> Node:
        node = self.nodes[profile_id]
        loaded = Node(profile_id, node.user_id, node.created_seq, node.identifier_count)
        if with_history:
            loaded.merge_count = sum(self.living(a) == profile_id for a in self.aliases)
            for identifier, owner in self.owners.items():
                if owner == profile_id:
                    times = loaded.linked.setdefault(identifier[0], [])
                    times.append(self.linked_at[identifier])
                    times.sort()
        return loaded
