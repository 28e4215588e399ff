"""The account that rules read of a person: the one the latest group call named."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement

# Of two group calls at the same time the account of the lower id counts, whatever came first.
# What begins with $ is ours; it is laid over traits of the same names.
DOCUMENT = """coalesce((
  SELECT a.traits || jsonb_build_object(
    '$id', a.account_id, '$group_id', a.group_id, '$roles', to_jsonb(m.roles))
  FROM account_member m
  JOIN account a ON a.workspace_id = m.workspace_id AND a.account_id = m.account_id
  WHERE m.workspace_id = p.workspace_id AND m.profile_id = p.profile_id AND m.removed_at IS NULL
  ORDER BY m.last_at DESC, m.account_id LIMIT 1), '{}'::jsonb)"""
"""SQL of what the rule field ``account`` reads of a row ``p`` of ``profile``, as jsonb."""

_LOAD = statement(f"""
SELECT p.profile_id::text AS profile_id, {DOCUMENT}::text AS account
FROM (SELECT CAST(:workspace_id AS uuid) AS workspace_id, profile_id
      FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)) p
""")  # noqa: S608 (the document is the one above)


async def load(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Traits, ``$id``, ``$group_id`` and ``$roles`` by profile id; people without account lack."""
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    found = (await session.execute(_LOAD, parameters)).all()
    return {
        profile_id: msgspec.json.decode(account) for profile_id, account in found if account != "{}"
    }
