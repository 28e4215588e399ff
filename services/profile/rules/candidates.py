"""Whom a rule may concern that is asked for the first time, found by one query.

Most rules hold for few, and asking everybody one by one takes minutes where there are millions.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.rules.ruleset import Definition
from services.rules import Rule, fields, normalise
from services.rules.compile_postgres import Columns, compile_postgres
from services.rules.model import AtLeast, Held, Sequence, walk

_READABLE = {"traits", "bucket"}
"""What a query sees as rules do. All else is told by other rules, accounts or the law, or ages."""
_UUID_BYTES = 16

_MEMORY = text("SELECT set_config('work_mem', '64MB', true)")
_BEGIN = text("CREATE TEMPORARY TABLE candidate (profile_id uuid) ON COMMIT DROP")
_MEMBERS = text("""
INSERT INTO candidate
SELECT profile_id FROM membership
WHERE workspace_id = :workspace_id AND rule_id = ANY(:rule_ids)
UNION ALL
SELECT profile_id FROM stage WHERE workspace_id = :workspace_id AND model_id = ANY(:rule_ids)
""")
# One by one and not joined by OR: each is planned as joins of whole tables, and gives back the
# memory they took before the next begins.
_PART = """
INSERT INTO candidate
SELECT p.profile_id FROM profile p WHERE p.workspace_id = :workspace_id AND {condition}
"""
_FOUND = text("""
SELECT string_agg(uuid_send(profile_id), CAST('' AS bytea) ORDER BY profile_id)
FROM (SELECT DISTINCT profile_id FROM candidate) AS found
""")
_COLUMNS = Columns(
    leaf_state="(SELECT * FROM leaf_state WHERE workspace_id = :workspace_id)",
)


class Candidates:
    """Ids of profiles in order, 16 bytes each."""

    def __init__(self, ids: bytes) -> None:
        self._ids = ids

    def __len__(self) -> int:
        return len(self._ids) // _UUID_BYTES

    def page(self, start: int, size: int) -> list[UUID]:
        places = range(start, min(start + size, len(self)))
        return [UUID(bytes=self._ids[i * _UUID_BYTES : (i + 1) * _UUID_BYTES]) for i in places]


async def find(
    session: AsyncSession, workspace_id: UUID, definitions: Collection[Definition], now_ms: int
) -> Candidates | None:
    """Everybody for whom one of the rules holds now or did when it was last asked, or of whom time
    alone may change something it counts; None where only asking everybody can tell.

    Once the rules are kept up to date for all that happens: whoever is left out is then found by
    what happens to them.
    """
    rules = [normalise(dict(tree)) for each in definitions for _, tree in each.trees]
    if not all(map(_is_readable, rules)):
        return None
    await session.execute(_MEMORY)
    await session.execute(_BEGIN)
    keys = [UUID(each.key) for each in definitions]
    await session.execute(_MEMBERS, {"workspace_id": workspace_id, "rule_ids": keys})
    for rule in rules:
        for asked in _asked(rule):
            condition, values = compile_postgres(asked, now_ms, columns=_COLUMNS)
            part = text(_PART.format(condition=condition))
            await session.execute(part, {"workspace_id": workspace_id, **values})
    return Candidates((await session.execute(_FOUND)).scalar_one() or b"")


def _is_readable(rule: Rule) -> bool:
    told = any(isinstance(node, Held | Sequence) for node in walk(rule.root))
    return not told and all(source in _READABLE for source, _ in fields(rule))


def _asked(rule: Rule) -> Iterable[Rule]:
    """The rule, and each count of it that time alone can lower."""
    yield rule
    for node in walk(rule.root):
        if isinstance(node, AtLeast) and node.leaf.last_ms is not None:
            yield Rule(node, "")
