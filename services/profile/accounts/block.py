"""Applies the group calls of a block of the log, and merges of people, to accounts."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.accounts import member_store, store
from services.profile.accounts.calls import GroupCall, group_calls
from services.profile.accounts.members import Joined, Key, Member, Members, fold
from services.profile.accounts.store import Account, said_at
from services.profile.profiles.traits import Traits
from services.profile.stream.block import Block
from services.profile.stream.service import Applied


@dataclass(slots=True)
class Grouped:
    """What became of accounts: the entries that tell of it, and what rules have to ask again."""

    changes: list[Change] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    """Who may have another primary account or other roles now."""
    updated: dict[str, set[str]] = field(default_factory=dict)
    """Accounts and the traits that changed."""
    accounts: set[str] = field(default_factory=set)
    """All that changed in itself or in its members."""
    joined: list[Joined] = field(default_factory=list)
    """By merge, if anybody of the block is in any account."""


async def apply(
    session: AsyncSession, workspace_id: UUID, block: Block, applied: Applied, now_ms: int
) -> Grouped:
    """Accounts and memberships of a block whose people are already saved."""
    calls = group_calls(workspace_id, block.events)
    merged = {p for m in applied.resolution.merges for p in (m.winner, m.loser)} & applied.existing
    if not calls and not merged:
        return Grouped()
    members = await _load_members(session, workspace_id, calls, applied, merged)
    before = set(_flat(members.held))
    accounts = await store.load(session, workspace_id, {c.account_id for c in calls})
    await asyncio.to_thread(fold, calls, block.events, applied.resolution, members)
    _learn(accounts, calls, block.events)
    if accounts:
        await store.put(session, workspace_id, accounts)
    if gone := [loser for loser in applied.became if loser in merged]:
        await member_store.remove(session, workspace_id, gone)
    held = _flat(members.held)
    canonical = applied.resolution.canonical
    heirs = set(applied.became.values())
    called = {(canonical(p), a) for p, a in members.called}
    await member_store.put(
        session,
        workspace_id,
        {key: member for key, member in held.items() if key in called or key[0] in heirs},
    )
    changed = dict.fromkeys((canonical(p), a) for p, a in members.changed)
    grouped = _told(accounts, {key: held[key] for key in changed}, now_ms)
    grouped.people |= {profile_id for profile_id, _ in called}
    grouped.joined = members.joined
    # A merge may leave an account with one person less, or with one that is in other segments.
    grouped.accounts |= {a for p, a in before | set(held) if p in merged or p in heirs}
    return grouped


async def _load_members(
    session: AsyncSession,
    workspace_id: UUID,
    calls: Sequence[GroupCall],
    applied: Applied,
    merged: set[str],
) -> Members:
    owners = applied.resolution.owners
    keys = {(owners[c.index], c.account_id) for c in calls if owners[c.index] in applied.existing}
    found: dict[Key, Member] = {}
    if keys:
        found |= await member_store.load(session, workspace_id, keys)
    if merged:
        found |= await member_store.load_all(session, workspace_id, merged)
    members = Members()
    for (profile_id, account_id), member in found.items():
        members.held.setdefault(profile_id, {})[account_id] = member
    return members


def _flat(held: Mapping[str, Mapping[str, Member]]) -> dict[Key, Member]:
    return {(p, a): member for p, mine in held.items() for a, member in mine.items()}


def _learn(
    accounts: dict[str, Account], calls: Iterable[GroupCall], events: Sequence[Event]
) -> None:
    for call in calls:
        at = events[call.index].occurred_at
        known = accounts.get(call.account_id)
        if known is None:
            known = accounts[call.account_id] = Account(
                call.group_id, Traits(), at, at, is_new=True
            )
        known.first, known.last = min(known.first, at), max(known.last, at)
        known.traits.learn(call.traits, said_at(at))


def _told(accounts: Mapping[str, Account], changed: Mapping[Key, Member], now_ms: int) -> Grouped:
    grouped = Grouped()
    for account_id, account in accounts.items():
        if account.is_new or account.traits.changed:
            grouped.updated[account_id] = account.traits.changed
            grouped.changes.append(updated(account_id, account, now_ms))
    grouped.changes += [member_changed(key, member, now_ms) for key, member in changed.items()]
    grouped.people |= {profile_id for profile_id, _ in changed}
    grouped.accounts |= grouped.updated.keys() | {account_id for _, account_id in changed}
    return grouped


def updated(account_id: str, account: Account, now_ms: int) -> Change:
    """``account.updated`` with the traits that changed."""
    traits = {key: account.traits.values.get(key) for key in sorted(account.traits.changed)}
    data = {"group_id": account.group_id, "traits": traits}
    return Change("account.updated", account_id, now_ms, data)


def member_changed(key: Key, member: Member, now_ms: int) -> Change:
    """``account.member_changed`` of a person."""
    data = {
        "account_id": key[1],
        "member": member.removed_at is None,
        "roles": list(member.roles) if member.removed_at is None else [],
    }
    return Change("account.member_changed", key[0], now_ms, data)
