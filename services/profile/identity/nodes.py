"""A profile as far as identity goes."""

from dataclasses import dataclass, field

from services.identifiers import Identifier as Identifier


@dataclass(slots=True)
class Node:
    """``created_seq`` is its age: its place in the log. ``merge_count`` and ``linked`` need be true
    only where ``resolve.linking`` asks for them."""

    profile_id: str
    user_id: str | None
    created_seq: int
    identifier_count: int
    merge_count: int = 0
    """Profiles that have become part of it."""
    linked: dict[str, list[int]] = field(default_factory=dict)
    """By namespace, the event times (ms) at which its identifiers were linked, in order."""

    def copy(self) -> "Node":
        """One that can be changed without changing this."""
        linked = {namespace: [*times] for namespace, times in self.linked.items()}
        return Node(
            *(self.profile_id, self.user_id, self.created_seq),
            *(self.identifier_count, self.merge_count, linked),
        )
