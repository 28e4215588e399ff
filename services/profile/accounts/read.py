"""SQL of accounts as people read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# S608: fragments are ours, values are bound.
_SELECT = """
SELECT a.account_id, a.group_id, a.traits::text AS traits, a.parent_id, a.first_seen_at,
       a.last_seen_at,
       (SELECT count(*) FROM account_member m
        WHERE m.workspace_id = a.workspace_id AND m.account_id = a.account_id
          AND m.removed_at IS NULL) AS members
FROM account a WHERE a.workspace_id = :workspace_id AND
"""
_FIND = text(_SELECT + "a.account_id = :account_id")
_NAMED = text(_SELECT + "a.group_id = :group_id")
_PAGE = text(_SELECT + "a.account_id > :after ORDER BY a.account_id LIMIT :limit")
_CHILDREN = text(
    _SELECT + "a.parent_id = :parent_id AND a.account_id > :after"
    " ORDER BY a.account_id LIMIT :limit"
)
_ALL = text(_SELECT + "a.account_id = ANY(CAST(:ids AS uuid[]))")

_MEMBERS = text("""
SELECT profile_id, roles, since, source FROM account_member
WHERE workspace_id = :workspace_id AND account_id = :account_id AND removed_at IS NULL
  AND profile_id > :after AND (CAST(:role AS text) IS NULL OR :role = ANY(roles))
ORDER BY profile_id LIMIT :limit
""")

_OF_PROFILE = text("""
SELECT a.account_id, a.group_id, a.traits ->> 'name' AS name, m.roles, m.since
FROM account_member m
JOIN account a ON a.workspace_id = m.workspace_id AND a.account_id = m.account_id
WHERE m.workspace_id = :workspace_id AND m.profile_id = :profile_id AND m.removed_at IS NULL
ORDER BY m.last_at DESC, m.account_id LIMIT :limit
""")

_SPANS = text("""
SELECT profile_id, since, removed_at FROM account_member
WHERE workspace_id = :workspace_id AND account_id = :account_id
ORDER BY last_at DESC, profile_id LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class StoredAccount:
    account_id: UUID
    group_id: str
    traits: dict[str, Any]
    parent_id: UUID | None
    first_seen_at: datetime
    last_seen_at: datetime
    members: int


@dataclass(frozen=True, slots=True)
class StoredMember:
    profile_id: UUID
    roles: list[str]
    since: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Belonging:
    """An account a person is in; ``name`` as its trait says."""

    account_id: UUID
    group_id: str
    name: str | None
    roles: list[str]
    since: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """When a person was in an account; ``removed_at`` None: still."""

    profile_id: UUID
    since: datetime
    removed_at: datetime | None


async def find(session: AsyncSession, workspace_id: UUID, account_id: UUID) -> StoredAccount | None:
    parameters = {"workspace_id": workspace_id, "account_id": account_id}
    row = (await session.execute(_FIND, parameters)).one_or_none()
    return None if row is None else _account(row._mapping)


async def named(session: AsyncSession, workspace_id: UUID, group_id: str) -> list[StoredAccount]:
    """The account of a group id, if there is one."""
    parameters = {"workspace_id": workspace_id, "group_id": group_id}
    return [_account(row._mapping) for row in await session.execute(_NAMED, parameters)]


async def page(
    session: AsyncSession, workspace_id: UUID, after: UUID, limit: int
) -> list[StoredAccount]:
    """Accounts after an id, in order of it."""
    parameters = {"workspace_id": workspace_id, "after": after, "limit": limit}
    return [_account(row._mapping) for row in await session.execute(_PAGE, parameters)]


async def children(
    session: AsyncSession, workspace_id: UUID, parent_id: UUID, after: UUID, limit: int
) -> list[StoredAccount]:
    """Accounts right below another, after an id, in order of it."""
    parameters = {
        "workspace_id": workspace_id,
        "parent_id": parent_id,
        "after": after,
        "limit": limit,
    }
    return [_account(row._mapping) for row in await session.execute(_CHILDREN, parameters)]


async def find_all(
    session: AsyncSession, workspace_id: UUID, account_ids: list[UUID]
) -> list[StoredAccount]:
    """In the order asked."""
    parameters = {"workspace_id": workspace_id, "ids": account_ids}
    found = [_account(row._mapping) for row in await session.execute(_ALL, parameters)]
    return sorted(found, key=lambda account: account_ids.index(account.account_id))


async def members(
    session: AsyncSession,
    workspace_id: UUID,
    account_id: UUID,
    role: str | None,
    after: UUID,
    limit: int,
) -> list[StoredMember]:
    """People in an account after a profile id, in order of it; ``role``: those with it only."""
    parameters = {
        "workspace_id": workspace_id,
        "account_id": account_id,
        "role": role,
        "after": after,
        "limit": limit,
    }
    return [StoredMember(**row._mapping) for row in await session.execute(_MEMBERS, parameters)]


async def of_profile(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, limit: int
) -> list[Belonging]:
    """Accounts a person is in, the primary one first."""
    parameters = {"workspace_id": workspace_id, "profile_id": profile_id, "limit": limit}
    return [Belonging(**row._mapping) for row in await session.execute(_OF_PROFILE, parameters)]


async def spans(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, limit: int
) -> list[Span]:
    """Who is or was in an account and when, those with the latest group call first."""
    parameters = {"workspace_id": workspace_id, "account_id": account_id, "limit": limit}
    return [Span(**row._mapping) for row in await session.execute(_SPANS, parameters)]


def _account(row: Mapping[Any, Any]) -> StoredAccount:
    return StoredAccount(**{**row, "traits": msgspec.json.decode(row["traits"])})
