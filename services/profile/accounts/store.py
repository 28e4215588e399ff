"""SQL of accounts: blocks for the log, single ones for the API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.arrays import plain, quoted, statement
from services.profile.profiles.traits import Meta, Traits

_LOAD = statement("""
SELECT a.account_id::text AS account_id, a.group_id, a.traits::text AS traits,
       a.trait_meta::text AS meta,
       CAST(extract(epoch FROM a.first_seen_at) * 1000 AS bigint) AS first,
       CAST(extract(epoch FROM a.last_seen_at) * 1000 AS bigint) AS last
FROM unnest(CAST(:ids AS uuid[])) AS asked(account_id)
JOIN account a ON a.workspace_id = :workspace_id AND a.account_id = asked.account_id
""")

_PUT = statement("""
INSERT INTO account AS a (workspace_id, account_id, group_id, traits, trait_meta, first_seen_at,
                          last_seen_at)
SELECT :workspace_id, account_id, group_id, CAST(traits AS jsonb), CAST(meta AS jsonb),
       to_timestamp(first / 1000.0), to_timestamp(last / 1000.0)
FROM unnest(CAST(:ids AS uuid[]), CAST(:group_ids AS text[]), CAST(:traits AS text[]),
            CAST(:meta AS text[]), CAST(:first AS bigint[]), CAST(:last AS bigint[]))
  AS new(account_id, group_id, traits, meta, first, last)
ON CONFLICT (workspace_id, account_id) DO UPDATE SET
  traits = excluded.traits, trait_meta = excluded.trait_meta,
  first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at
""")

_PARENT = statement("""
UPDATE account SET parent_id = CAST(:parent_id AS uuid)
WHERE workspace_id = :workspace_id AND account_id = :account_id
""")

# One step further than is allowed, so that a chain that is too long is seen to be.
_ANCESTORS = statement("""
WITH RECURSIVE above AS (
  SELECT account_id, parent_id, 0 AS level FROM account
  WHERE workspace_id = :workspace_id AND account_id = :account_id
  UNION ALL
  SELECT a.account_id, a.parent_id, above.level + 1
  FROM above JOIN account a ON a.workspace_id = :workspace_id AND a.account_id = above.parent_id
  WHERE above.level <= :depth
)
SELECT account_id FROM above WHERE level > 0 ORDER BY level
""")

_HEIGHT = statement("""
WITH RECURSIVE below AS (
  SELECT CAST(:account_id AS uuid) AS account_id, 0 AS level
  UNION
  SELECT a.account_id, below.level + 1
  FROM below JOIN account a ON a.workspace_id = :workspace_id AND a.parent_id = below.account_id
  WHERE below.level <= :depth
)
SELECT max(level) FROM below
""")


def said_at(at: int) -> Meta:
    """What a trait rests on that was said at ``at`` (ms): sources of accounts have no priority."""
    return Meta(at, 0, "", 0)


@dataclass(slots=True)
class Account:
    """An account as calls change it; times in ms."""

    group_id: str
    traits: Traits
    first: int
    last: int
    is_new: bool = False


async def load(
    session: AsyncSession, workspace_id: UUID, account_ids: Collection[str]
) -> dict[str, Account]:
    """Accounts by id; those that are not there lack."""
    found = await session.execute(_LOAD, {"workspace_id": workspace_id, "ids": plain(account_ids)})
    decode = msgspec.json.decode
    return {
        account_id: Account(group_id, _traits(decode(traits), decode(meta)), first, last)
        for account_id, group_id, traits, meta, first, last in found.all()
    }


def _traits(values: dict[str, Any], meta: dict[str, list[Any]]) -> Traits:
    return Traits(values, {key: Meta(*each) for key, each in meta.items()})


async def put(session: AsyncSession, workspace_id: UUID, accounts: Mapping[str, Account]) -> None:
    encode = msgspec.json.encode
    held = list(accounts.values())
    await session.execute(
        _PUT,
        {
            "workspace_id": workspace_id,
            "ids": plain(accounts),
            "group_ids": quoted(a.group_id for a in held),
            "traits": quoted(encode(a.traits.values).decode() for a in held),
            "meta": quoted(encode(a.traits.meta).decode() for a in held),
            "first": plain(a.first for a in held),
            "last": plain(a.last for a in held),
        },
    )


async def set_parent(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, parent_id: UUID | None
) -> None:
    await session.execute(
        _PARENT, {"workspace_id": workspace_id, "account_id": account_id, "parent_id": parent_id}
    )


async def ancestors(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, depth: int
) -> list[UUID]:
    """The parent, its parent and so on, up to ``depth`` and one more."""
    parameters = {"workspace_id": workspace_id, "account_id": account_id, "depth": depth}
    return list((await session.execute(_ANCESTORS, parameters)).scalars())


async def height(session: AsyncSession, workspace_id: UUID, account_id: UUID, depth: int) -> int:
    """Levels below an account, 0 without children; at most ``depth`` and one more are counted."""
    parameters = {"workspace_id": workspace_id, "account_id": account_id, "depth": depth}
    return int((await session.execute(_HEIGHT, parameters)).scalar_one())
