"""What the merge ledger keeps of accounts, and taking it apart again."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, replace
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.accounts import member_store
from services.profile.accounts.block import member_changed
from services.profile.accounts.members import Joined, Member
from services.profile.arrays import plain, quoted, statement
from services.profile.identity.store import Cause
from services.profile.merges.account_sides import divide_accounts

_KEEP = statement("""
UPDATE merge m SET
  survivor = m.survivor || jsonb_build_object('accounts', CAST(new.survivor AS jsonb)),
  snapshot = m.snapshot || jsonb_build_object('accounts', CAST(new.merged AS jsonb))
FROM unnest(CAST(:ids AS uuid[]), CAST(:survivors AS text[]), CAST(:merged AS text[]))
  AS new(merge_id, survivor, merged)
WHERE m.workspace_id = :workspace_id AND m.merge_id = new.merge_id
""")


async def keep(
    session: AsyncSession, workspace_id: UUID, causes: Iterable[Cause], joined: Iterable[Joined]
) -> None:
    """Add to merges that were just recorded what both sides were in."""
    pairs = zip(causes, joined, strict=True)
    kept = [(cause.merge_id, sides) for cause, sides in pairs if any(sides)]
    if not kept:
        return
    await session.execute(
        _KEEP,
        {
            "workspace_id": workspace_id,
            "ids": plain(merge_id for merge_id, _ in kept),
            "survivors": quoted(_text(survivor) for _, (survivor, _) in kept),
            "merged": quoted(_text(merged) for _, (_, merged) in kept),
        },
    )


async def part(
    session: AsyncSession,
    workspace_id: UUID,
    living: str,
    revived: str,
    snapshots: tuple[Mapping[str, Any], Mapping[str, Any]],
    now_ms: int,
) -> list[Change]:
    """Divide the accounts of ``living``; ``snapshots``: of who goes on and of who lives again."""
    held = await member_store.load_all(session, workspace_id, [living])
    now = {account_id: member for (_, account_id), member in held.items()}
    kept, lives = divide_accounts(now, *map(_memberships, snapshots))
    after = {(living, a): member for a, member in kept.items()}
    after |= {(revived, a): member for a, member in lives.items()}
    if after == held:
        return []
    await member_store.remove(session, workspace_id, [living])
    await member_store.put(session, workspace_id, after)
    gone = {key: replace(m, removed_at=now_ms) for key, m in held.items() if key not in after}
    return [
        member_changed(key, member, now_ms)
        for key, member in sorted((after | gone).items(), key=lambda each: each[0])
        if _shown(held.get(key)) != _shown(member)
    ]


def _shown(member: Member | None) -> tuple[str, ...] | None:
    """Roles of who is in; None of who is not."""
    return None if member is None or member.removed_at is not None else member.roles


def _text(memberships: Mapping[str, Member]) -> str:
    return msgspec.json.encode({a: astuple(member) for a, member in memberships.items()}).decode()


def _memberships(snapshot: Mapping[str, Any]) -> dict[str, Member]:
    """Of merges from before accounts were kept: none."""
    return {
        account_id: Member(since, last_at, source, tuple(roles), roles_at, removed_at)
        for account_id, (since, last_at, source, roles, roles_at, removed_at) in snapshot.get(
            "accounts", {}
        ).items()
    }
