"""What follows of a block that was applied: accounts, computed traits, rules and the ledger."""

from collections.abc import Awaitable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.accounts import asking
from services.profile.accounts import block as accounts
from services.profile.computed import service as computed
from services.profile.merges import account_store, impact
from services.profile.rules import service as rules
from services.profile.rules.count import Counted
from services.profile.rules.ruleset import RuleSet
from services.profile.rules.settle import settle
from services.profile.stream.block import Block
from services.profile.stream.service import Applied


@dataclass(frozen=True, slots=True)
class Effects:
    """``next_due``: the earliest ms at which time alone may change what was looked at.
    ``asks_members``: members of large accounts are left to be asked in the background."""

    changes: list[Change]
    next_due: int | None
    asks_members: bool


async def follow(
    session: AsyncSession,
    workspace_id: UUID,
    known: RuleSet,
    block: Block,
    applied: Applied,
    counting: Awaitable[Counted],
    now_ms: int,
) -> Effects:
    """Also of a merge that no event brought about: its block is empty. ``counting`` is awaited
    once accounts are seen to."""
    grouped = await accounts.apply(session, workspace_id, block, applied, now_ms)
    if grouped.joined:
        await account_store.keep(session, workspace_id, applied.causes, grouped.joined)
    met = await impact.before(session, workspace_id, applied)
    news = await rules.of_block(session, workspace_id, known, applied, await counting)
    told = await computed.of_block(session, workspace_id, known, applied, news, now_ms)
    asks_members = await asking.touch(session, workspace_id, known, news, grouped)
    settled = await settle(session, workspace_id, known, news, now_ms)
    await impact.record(session, workspace_id, applied, met, settled.changes)
    settled = settled.with_due(told.next_due)
    changes = [*grouped.changes, *told.changes, *settled.changes]
    return Effects(changes, settled.next_due, asks_members)
