"""Rules of which others ask how long they have held: each is kept as a rule of its own."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.rules import store
from services.profile.rules.ruleset import Definition
from services.profile.rules.store import StoredRule
from services.rules import held, normalise

Tree = Mapping[str, Any]


async def keep(
    session: AsyncSession, workspace_id: UUID, definitions: Iterable[Definition]
) -> dict[UUID, Tree]:
    """Add inner rules that definitions ask about for the first time, and remove those that none
    asks about any more; the trees of the new ones by id."""
    known = {UUID(d.key) for d in definitions if d.kind == "held"}
    asked = {
        key: inner
        for d in definitions
        if d.kind != "held"
        for _, tree in d.trees
        for key, inner in inside(tree)
    }
    for key in known - asked.keys():
        await store.remove(session, workspace_id, key)
    new = {key: tree for key, tree in asked.items() if key not in known}
    for key, tree in new.items():
        rule = StoredRule(key, "held", "rules", dict(tree), False, "backfilling")
        await store.put(session, workspace_id, rule)
    return new


def inside(tree: Tree) -> Iterator[tuple[UUID, Tree]]:
    """Inner rules of a tree, at any depth, by id; a segment has a rule of its own already."""
    for child in tree.get("rules", ()):
        yield from inside(child)
    if "held" in tree:
        for node in held(normalise(dict(tree))):
            if not node.segment:
                yield UUID(node.key), tree["held"]
        yield from inside(tree["held"])
