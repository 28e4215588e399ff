"""SQL of who is in which account."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts.members import Key, Member
from services.profile.arrays import plain, quoted, statement

_COLUMNS = """
  m.profile_id::text AS profile_id, m.account_id::text AS account_id, m.roles,
  CAST(extract(epoch FROM m.roles_at) * 1000 AS bigint) AS roles_at,
  CAST(extract(epoch FROM m.since) * 1000 AS bigint) AS since,
  CAST(extract(epoch FROM m.last_at) * 1000 AS bigint) AS last_at,
  CAST(extract(epoch FROM m.removed_at) * 1000 AS bigint) AS removed_at, m.source
"""

_LOAD = statement(f"""
SELECT {_COLUMNS}
FROM unnest(CAST(:ids AS uuid[]), CAST(:account_ids AS uuid[])) AS asked(profile_id, account_id)
JOIN account_member m ON m.workspace_id = :workspace_id AND m.account_id = asked.account_id
  AND m.profile_id = asked.profile_id
""")  # noqa: S608 (the columns are those above)

_LOAD_ALL = statement(f"""
SELECT {_COLUMNS}
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN account_member m ON m.workspace_id = :workspace_id AND m.profile_id = asked.profile_id
""")  # noqa: S608 (the columns are those above)

_PUT = statement("""
INSERT INTO account_member (workspace_id, profile_id, account_id, roles, roles_at, since, last_at,
                            removed_at, source)
SELECT :workspace_id, profile_id, account_id, CAST(roles AS text[]),
       to_timestamp(roles_at / 1000.0), to_timestamp(since / 1000.0),
       to_timestamp(last_at / 1000.0), to_timestamp(removed_at / 1000.0), source
FROM unnest(CAST(:ids AS uuid[]), CAST(:account_ids AS uuid[]), CAST(:roles AS text[]),
            CAST(:roles_at AS bigint[]), CAST(:since AS bigint[]), CAST(:last_at AS bigint[]),
            CAST(:removed_at AS bigint[]), CAST(:sources AS text[]))
  AS new(profile_id, account_id, roles, roles_at, since, last_at, removed_at, source)
ON CONFLICT (workspace_id, account_id, profile_id) DO UPDATE SET
  roles = excluded.roles, roles_at = excluded.roles_at, since = excluded.since,
  last_at = excluded.last_at, removed_at = excluded.removed_at, source = excluded.source
""")

_DELETE = statement("""
DELETE FROM account_member m USING unnest(CAST(:ids AS uuid[])) AS gone(profile_id)
WHERE m.workspace_id = :workspace_id AND m.profile_id = gone.profile_id
""")

_ACCOUNTS_OF = statement("""
SELECT DISTINCT m.account_id::text AS account_id
FROM unnest(CAST(:ids AS uuid[])) AS asked(profile_id)
JOIN account_member m ON m.workspace_id = :workspace_id AND m.profile_id = asked.profile_id
WHERE m.removed_at IS NULL
""")

_COUNT = statement("""
SELECT m.account_id::text AS account_id, count(*) AS members
FROM unnest(CAST(:account_ids AS uuid[])) AS asked(account_id)
JOIN account_member m ON m.workspace_id = :workspace_id AND m.account_id = asked.account_id
WHERE m.removed_at IS NULL
GROUP BY m.account_id ORDER BY m.account_id
""")

# Who was erased is nobody to ask, whether or not the row is gone yet.
_OF_ACCOUNTS = statement("""
SELECT DISTINCT m.profile_id::text AS profile_id
FROM unnest(CAST(:account_ids AS uuid[])) AS asked(account_id)
JOIN account_member m ON m.workspace_id = :workspace_id AND m.account_id = asked.account_id
JOIN profile p ON p.workspace_id = :workspace_id AND p.profile_id = m.profile_id
WHERE m.removed_at IS NULL
""")


async def load(
    session: AsyncSession, workspace_id: UUID, keys: Collection[Key]
) -> dict[Key, Member]:
    """Those of the asked memberships that are there."""
    parameters = {
        "workspace_id": workspace_id,
        "ids": plain(profile_id for profile_id, _ in keys),
        "account_ids": plain(account_id for _, account_id in keys),
    }
    return dict(map(_member, (await session.execute(_LOAD, parameters)).all()))


async def load_all(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> dict[Key, Member]:
    """All memberships of some people."""
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    return dict(map(_member, (await session.execute(_LOAD_ALL, parameters)).all()))


async def put(session: AsyncSession, workspace_id: UUID, members: Mapping[Key, Member]) -> None:
    if not members:
        return
    held = list(members.values())
    await session.execute(
        _PUT,
        {
            "workspace_id": workspace_id,
            "ids": plain(profile_id for profile_id, _ in members),
            "account_ids": plain(account_id for _, account_id in members),
            "roles": quoted(quoted(m.roles) for m in held),
            "roles_at": plain(m.roles_at for m in held),
            "since": plain(m.since for m in held),
            "last_at": plain(m.last_at for m in held),
            "removed_at": plain(m.removed_at for m in held),
            "sources": quoted(m.source for m in held),
        },
    )


async def remove(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]) -> None:
    """Rows of profiles that are no more; the accounts stay."""
    await session.execute(_DELETE, {"workspace_id": workspace_id, "ids": plain(profile_ids)})


async def accounts_of(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[str]
) -> set[str]:
    """The accounts that any of these people is in."""
    parameters = {"workspace_id": workspace_id, "ids": plain(profile_ids)}
    return set((await session.execute(_ACCOUNTS_OF, parameters)).scalars())


async def count(
    session: AsyncSession, workspace_id: UUID, account_ids: Iterable[str]
) -> list[tuple[str, int]]:
    """(account id, people in it), in order of id; accounts without any lack."""
    parameters = {"workspace_id": workspace_id, "account_ids": plain(account_ids)}
    found = await session.execute(_COUNT, parameters)
    return [(account_id, members) for account_id, members in found.all()]


async def of_accounts(
    session: AsyncSession, workspace_id: UUID, account_ids: Iterable[str]
) -> list[str]:
    """Everybody who is in any of these accounts."""
    parameters = {"workspace_id": workspace_id, "account_ids": plain(account_ids)}
    return list((await session.execute(_OF_ACCOUNTS, parameters)).scalars())


def _member(row: Any) -> tuple[Key, Member]:
    profile_id, account_id, roles, roles_at, since, last_at, removed_at, source = row
    member = Member(since, last_at, source, tuple(roles), roles_at, removed_at)
    return (profile_id, account_id), member
