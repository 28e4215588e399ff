"""SQL of large accounts whose members are asked in parts."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, statement

FIRST = UUID(int=0)

# One that is already being asked begins anew: those asked before knew the traits of then.
_ADD = statement("""
INSERT INTO account_sweep (workspace_id, account_id, after)
SELECT :workspace_id, account_id, :first FROM unnest(CAST(:ids AS uuid[])) AS new(account_id)
ON CONFLICT (workspace_id, account_id) DO UPDATE SET after = excluded.after
""")

_FIND = statement("""
SELECT account_id, after FROM account_sweep WHERE workspace_id = :workspace_id
ORDER BY account_id LIMIT 1
""")

_MEMBERS = statement("""
SELECT m.profile_id::text AS profile_id
FROM account_member m
JOIN profile p ON p.workspace_id = m.workspace_id AND p.profile_id = m.profile_id
WHERE m.workspace_id = :workspace_id AND m.account_id = :account_id AND m.profile_id > :after
  AND m.removed_at IS NULL
ORDER BY m.profile_id LIMIT :limit
""")

_MOVE = statement("""
UPDATE account_sweep SET after = CAST(:after AS uuid)
WHERE workspace_id = :workspace_id AND account_id = :account_id
""")

_END = statement("""
DELETE FROM account_sweep WHERE workspace_id = :workspace_id AND account_id = :account_id
""")


async def add(session: AsyncSession, workspace_id: UUID, account_ids: Collection[str]) -> None:
    if account_ids:
        parameters = {"workspace_id": workspace_id, "ids": plain(account_ids), "first": FIRST}
        await session.execute(_ADD, parameters)


async def first(session: AsyncSession, workspace_id: UUID) -> tuple[UUID, UUID] | None:
    """(account id, the last of its members that was asked)."""
    row = (await session.execute(_FIND, {"workspace_id": workspace_id})).one_or_none()
    return None if row is None else (row.account_id, row.after)


async def members(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, after: UUID, limit: int
) -> list[str]:
    """Ids of people in an account after one of them, in order."""
    parameters = {
        "workspace_id": workspace_id,
        "account_id": account_id,
        "after": after,
        "limit": limit,
    }
    return list((await session.execute(_MEMBERS, parameters)).scalars())


async def move(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, after: str | None
) -> None:
    """Members up to ``after`` were asked; None: all of them."""
    parameters: dict[str, object] = {"workspace_id": workspace_id, "account_id": account_id}
    if after is None:
        await session.execute(_END, parameters)
    else:
        await session.execute(_MOVE, parameters | {"after": UUID(after)})
