"""SQL of how long rules have held for people, for the rules that ask it."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement
from services.profile.rules.memberships import Pair

_LOAD = statement("""
SELECT m.profile_id::text AS profile_id, m.rule_id::text AS rule_id,
       CAST(round(extract(epoch FROM m.entered_at) * 1000) AS bigint) AS since_ms,
       m.next_change_at
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN membership m ON m.workspace_id = :workspace_id AND m.profile_id = asked.profile_id
WHERE m.rule_id = ANY(CAST(:rule_ids AS uuid[]))
""")

_SAVE = statement("""
UPDATE membership m SET next_change_at = new.due
FROM unnest(CAST(:ids AS uuid[]), CAST(:rule_ids AS uuid[]), CAST(:due AS bigint[]))
  AS new(profile_id, rule_id, due)
WHERE m.workspace_id = :workspace_id AND m.profile_id = new.profile_id
  AND m.rule_id = new.rule_id
""")

_DUE = statement("""
SELECT profile_id::text AS profile_id, rule_id::text AS rule_id FROM membership
WHERE workspace_id = :workspace_id AND next_change_at <= :now_ms
ORDER BY next_change_at LIMIT :limit
""")


async def load(
    session: AsyncSession,
    workspace_id: UUID,
    profile_ids: Collection[str],
    rule_ids: Collection[str],
) -> dict[Pair, tuple[int, int | None]]:
    """(since when, next due) in ms where a rule holds; nothing is asked where none is wanted."""
    if not profile_ids or not rule_ids:
        return {}
    parameters = {
        "workspace_id": workspace_id,
        "ids": plain(profile_ids),
        "rule_ids": plain(rule_ids),
    }
    found = (await session.execute(_LOAD, parameters)).all()
    return {(profile_id, rule_id): (since, due) for profile_id, rule_id, since, due in found}


async def save(session: AsyncSession, workspace_id: UUID, dues: Mapping[Pair, int | None]) -> None:
    if dues:
        parameters = {
            "workspace_id": workspace_id,
            "ids": plain(profile_id for profile_id, _ in dues),
            "rule_ids": plain(rule_id for _, rule_id in dues),
            "due": plain(dues.values()),
        }
        await session.execute(_SAVE, parameters)


async def due(session: AsyncSession, workspace_id: UUID, now_ms: int, limit: int) -> list[Pair]:
    """Memberships that have now lasted as long as some rule asks, the longest overdue first."""
    parameters = {"workspace_id": workspace_id, "now_ms": now_ms, "limit": limit}
    return [(r.profile_id, r.rule_id) for r in await session.execute(_DUE, parameters)]
