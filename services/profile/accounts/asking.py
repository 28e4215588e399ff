"""Whom rules ask again when accounts change; the members of large accounts in parts."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts import member_store, sweep_store
from services.profile.accounts.block import Grouped
from services.profile.rules.advance import Touched
from services.profile.rules.ruleset import Read, RuleSet
from services.profile.rules.service import News, Settled
from services.profile.rules.settle import settle

MEMBERS_AT_ONCE = 2000
"""People asked in the transaction that changed their accounts, and in each part after it: an
account may have any number of members, and the workspace's lock is not to be held for all."""


def accounts_bell(workspace_id: UUID) -> str:
    """What is rung when members of large accounts wait to be asked; it may be rung before the
    transaction ends, as whoever hears it waits for the lock of the workspace."""
    return f"accounts:{workspace_id}"


async def touch(
    session: AsyncSession, workspace_id: UUID, known: RuleSet, news: News, grouped: Grouped
) -> bool:
    """Add what changed accounts mean to ``news``; whether members are left for ``step``."""
    news.accounts |= grouped.accounts
    reads = _reads(known)
    if not reads:
        return False
    _touch(known, news.touched, reads, grouped.people)
    read = {key for _, key in reads}
    waiting = sorted(a for a, changed in grouped.updated.items() if not read.isdisjoint(changed))
    if not waiting:
        return False
    now: list[str] = []
    later: list[str] = []
    left = MEMBERS_AT_ONCE
    for account_id, members in await member_store.count(session, workspace_id, waiting):
        (now if members <= left else later).append(account_id)
        left -= members if members <= left else 0
    people = await member_store.of_accounts(session, workspace_id, now)
    _touch(known, news.touched, reads, people)
    await sweep_store.add(session, workspace_id, later)
    return bool(later)


async def step(
    session: AsyncSession, workspace_id: UUID, known: RuleSet, now_ms: int
) -> tuple[Settled, bool]:
    """Ask the next members of a large account; whether there may be more to ask. In a transaction
    each, so that blocks of the log come in between."""
    found = await sweep_store.first(session, workspace_id)
    if found is None:
        return Settled([], None), False
    account_id, after = found
    ids = await sweep_store.members(session, workspace_id, account_id, after, MEMBERS_AT_ONCE)
    news = News()
    _touch(known, news.touched, _reads(known), ids)
    settled = await settle(session, workspace_id, known, news, now_ms)
    done = len(ids) < MEMBERS_AT_ONCE
    await sweep_store.move(session, workspace_id, account_id, None if done else ids[-1])
    return settled, True


def _reads(known: RuleSet) -> list[Read]:
    return [read for read in known.readers if read[0] == "account"]


def _touch(
    known: RuleSet, touched: Touched, reads: Collection[Read], people: Collection[str]
) -> None:
    for read in reads:
        for profile_id in people:
            touched.read(known, read, profile_id)
