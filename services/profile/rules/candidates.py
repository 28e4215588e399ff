"""Whom a rule may concern that is asked for the first time, found by one query.

Most rules hold for few, and asking everybody one by one takes minutes where there are millions.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.rules.ruleset import Definition
from services.rules import Rule, fields, normalise
from services.rules.binds import ParamValue
from services.rules.compile_postgres import Columns, compile_postgres
from services.rules.model import AtLeast, Held, Sequence, walk

_READABLE = {"traits", "bucket"}
"""What a query sees as rules do. All else is told by other rules, accounts or the law, or ages."""
_UUID_BYTES = 16
_LETTERS = str.maketrans("0123456789", "abcdefghij")

# Apart and not joined by OR, so that each is planned as joins of whole tables.
_FIND = """
SELECT string_agg(uuid_send(profile_id), CAST('' AS bytea) ORDER BY profile_id) FROM (
  SELECT profile_id FROM membership
  WHERE workspace_id = :workspace_id AND rule_id = ANY(:rule_ids)
  UNION SELECT profile_id FROM stage
  WHERE workspace_id = :workspace_id AND model_id = ANY(:rule_ids)
  {parts}) AS found
"""
_PART = """UNION SELECT p.profile_id FROM profile p
  WHERE p.workspace_id = :workspace_id AND {condition}"""
_MEMORY = text("SELECT set_config('work_mem', '64MB', true)")
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
    parts: list[str] = []
    values: dict[str, ParamValue] = {}
    for number, asked in enumerate(asked for rule in rules for asked in _asked(rule)):
        prefix = "c" + str(number).translate(_LETTERS) + "_"
        condition, parameters = compile_postgres(asked, now_ms, columns=_COLUMNS, prefix=prefix)
        parts.append(_PART.format(condition=condition))
        values |= parameters
    await session.execute(_MEMORY)
    statement = text(_FIND.format(parts="\n  ".join(parts)))
    keys = [UUID(each.key) for each in definitions]
    bound = {"workspace_id": workspace_id, "rule_ids": keys, **values}
    return Candidates((await session.execute(statement, bound)).scalar_one() or b"")


def _is_readable(rule: Rule) -> bool:
    told = any(isinstance(node, Held | Sequence) for node in walk(rule.root))
    return not told and all(source in _READABLE for source, _ in fields(rule))


def _asked(rule: Rule) -> Iterable[Rule]:
    """The rule, and each count of it that time alone can lower."""
    yield rule
    for node in walk(rule.root):
        if isinstance(node, AtLeast) and node.leaf.last_ms is not None:
            yield Rule(node, "")
