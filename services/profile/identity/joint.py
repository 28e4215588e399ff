"""What one profile would hold if an event's identifiers all were its own. Pure."""

from services.contracts.identity import ConflictReason
from services.profile.identity.limits import Limits
from services.profile.identity.nodes import Identifier, Node

MAX_IDENTIFIERS = 1000
MAX_MERGES = 100
"""Of one profile: beyond both, something glues strangers together (semantics ID-5)."""


class Joint:
    """Grows identifier by identifier, the highest priority first; the first always has its way."""

    def __init__(self, at: int, limits: Limits) -> None:
        """``at``: time of the event, ms."""
        self._at = at
        self._limits = limits
        self.nodes: dict[str, Node] = {}
        """The profiles that would be one."""
        self.new: list[Identifier] = []
        """Identifiers that no profile has yet."""

    def add(self, identifier: Identifier, node: Node | None) -> None:
        """``node``: the profile that has the identifier."""
        if node is None:
            self.new.append(identifier)
        else:
            self.nodes[node.profile_id] = node

    def objection(self, identifier: Identifier, node: Node | None) -> ConflictReason | None:
        """Why it may not be added, or None."""
        is_first = not self.nodes and not self.new
        if is_first or (node is not None and node.profile_id in self.nodes):
            return None
        nodes = [*self.nodes.values(), *([] if node is None else [node])]
        new = [*self.new, *([identifier] if node is None else [])]
        user_ids = {n.user_id for n in nodes if n.user_id is not None}
        user_ids |= {value for namespace, value in new if namespace == "user_id"}
        if len(user_ids) > 1:
            return "two_user_ids"
        merges = len(nodes) - 1
        if merges and merges + sum(n.merge_count for n in nodes) > MAX_MERGES:
            return "too_many_merges"
        if sum(n.identifier_count for n in nodes) + len(new) > MAX_IDENTIFIERS:
            return "too_many_identifiers"
        namespaces = [identifier[0]] if node is None else node.linked
        around = self._at if node is None else None
        crowded = any(self._is_crowded(each, nodes, new, around) for each in namespaces)
        return "limit" if crowded else None

    def _is_crowded(
        self, namespace: str, nodes: list[Node], new: list[Identifier], around: int | None
    ) -> bool:
        limit = self._limits.get(namespace)
        if limit is None:
            return False
        held = [times for n in nodes if (times := n.linked.get(namespace))]
        added = [self._at for name, _ in new if name == namespace]
        if len(held) + len(added) < 2:
            return False
        return limit.is_exceeded(sorted([*added, *(t for times in held for t in times)]), around)
