"""What may happen to an account besides what group calls tell of it."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.profile.accounts import asking, block, member_store, read, store
from services.profile.accounts.block import Grouped
from services.profile.accounts.calls import account_id as id_of
from services.profile.accounts.calls import normal_group_id, normal_roles
from services.profile.accounts.members import Member
from services.profile.accounts.read import StoredAccount
from services.profile.accounts.store import Account, said_at
from services.profile.errors import AccountExists, AccountMemberNotFound, AccountNotFound
from services.profile.feed import store as feed
from services.profile.profiles import service as profiles
from services.profile.profiles.traits import Traits
from services.profile.rules.service import News, RuleCache
from services.profile.rules.settle import settle
from services.profile.stream import store as stream
from services.profile.stream.store import Place

MAX_LEVELS = 10
"""Of a hierarchy, from the account without a parent down to the last one below it."""
SOURCE = "api"
"""Stands where memberships name the source of the group call."""


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    raw_group_id: str,
    said: Mapping[str, Any],
    parent_id: UUID | None,
    now_ms: int,
    cache: RuleCache,
) -> UUID:
    """An account nobody is in yet, such as a holding company; its id."""
    place = await stream.lock(session, workspace_id)
    group_id = normal_group_id(raw_group_id)
    if group_id is None:
        detail = "An id that names one account is accepted, no placeholder such as `null`."
        raise InvalidRequest.at("#/group_id", detail)
    account_id = id_of(workspace_id, group_id)
    if await store.load(session, workspace_id, [account_id]):
        detail = f"The account {group_id!r} exists as {account_id}."
        raise AccountExists(detail, account_id=account_id)
    account = Account(group_id, Traits(), now_ms, now_ms, is_new=True)
    account.traits.learn(said, said_at(now_ms))
    await store.put(session, workspace_id, {account_id: account})
    await _place_below(session, workspace_id, UUID(account_id), parent_id)
    grouped = Grouped([block.updated(account_id, account, now_ms)], accounts={account_id})
    await _settle(session, workspace_id, place, cache, grouped, now_ms)
    return UUID(account_id)


async def change(
    session: AsyncSession,
    workspace_id: UUID,
    account_id: UUID,
    said: Mapping[str, Any],
    now_ms: int,
    cache: RuleCache,
) -> None:
    """Traits said now; members of a large account are asked about them in the background."""
    place = await stream.lock(session, workspace_id)
    account = await _load(session, workspace_id, account_id)
    account.traits.learn(said, said_at(now_ms))
    if not account.traits.changed:
        return
    key = str(account_id)
    await store.put(session, workspace_id, {key: account})
    grouped = Grouped(
        [block.updated(key, account, now_ms)],
        updated={key: account.traits.changed},
        accounts={key},
    )
    await _settle(session, workspace_id, place, cache, grouped, now_ms)


async def place_below(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, parent_id: UUID | None
) -> None:
    """Make an account the child of another, or of none."""
    await stream.lock(session, workspace_id)
    await _load(session, workspace_id, account_id)
    await _place_below(session, workspace_id, account_id, parent_id)


async def _place_below(
    session: AsyncSession, workspace_id: UUID, account_id: UUID, parent_id: UUID | None
) -> None:
    if parent_id is not None:
        if not await store.load(session, workspace_id, [str(parent_id)]):
            raise InvalidRequest.at("#/parent_id", f"There is no account {parent_id}.")
        above = await store.ancestors(session, workspace_id, parent_id, MAX_LEVELS)
        if account_id == parent_id or account_id in above:
            detail = f"{parent_id} is the account itself or lies below it: that would be a circle."
            raise InvalidRequest.at("#/parent_id", detail)
        below = await store.height(session, workspace_id, account_id, MAX_LEVELS)
        if len(above) + below + 2 > MAX_LEVELS:
            detail = f"A hierarchy of accounts has at most {MAX_LEVELS} levels."
            raise InvalidRequest.at("#/parent_id", detail)
    await store.set_parent(session, workspace_id, account_id, parent_id)


async def ancestors(
    session: AsyncSession, workspace_id: UUID, account_id: UUID
) -> list[StoredAccount]:
    """The parent, its parent and so on up to the top."""
    above = await store.ancestors(session, workspace_id, account_id, MAX_LEVELS)
    return await read.find_all(session, workspace_id, above)


async def put_member(
    session: AsyncSession,
    workspace_id: UUID,
    account_id: UUID,
    profile_id: UUID,
    roles: Iterable[str],
    now_ms: int,
    cache: RuleCache,
) -> UUID:
    """A person in an account with these roles from now on; the id of the living profile."""
    place = await stream.lock(session, workspace_id)
    await _load(session, workspace_id, account_id)
    living = await profiles.canonical(session, workspace_id, profile_id)
    key = (str(living), str(account_id))
    known = (await member_store.load(session, workspace_id, [key])).get(key)
    if known is None or known.removed_at is not None:
        known = Member(now_ms, now_ms, SOURCE)
    known.roles, known.roles_at = normal_roles(roles), now_ms
    await member_store.put(session, workspace_id, {key: known})
    await _settle(session, workspace_id, place, cache, _of_member(key, known, now_ms), now_ms)
    return living


async def remove_member(
    session: AsyncSession,
    workspace_id: UUID,
    account_id: UUID,
    profile_id: UUID,
    now_ms: int,
    cache: RuleCache,
) -> None:
    """Group calls that are older than this do not bring the person back."""
    place = await stream.lock(session, workspace_id)
    await _load(session, workspace_id, account_id)
    living = await profiles.canonical(session, workspace_id, profile_id)
    key = (str(living), str(account_id))
    known = (await member_store.load(session, workspace_id, [key])).get(key)
    if known is None or known.removed_at is not None:
        raise AccountMemberNotFound(f"Profile {living} is not in account {account_id}.")
    known.removed_at = now_ms
    await member_store.put(session, workspace_id, {key: known})
    await _settle(session, workspace_id, place, cache, _of_member(key, known, now_ms), now_ms)


def _of_member(key: tuple[str, str], member: Member, now_ms: int) -> Grouped:
    told = block.member_changed(key, member, now_ms)
    return Grouped([told], people={key[0]}, accounts={key[1]})


async def _load(session: AsyncSession, workspace_id: UUID, account_id: UUID) -> Account:
    found = await store.load(session, workspace_id, [str(account_id)])
    if not found:
        raise not_found(account_id)
    return found[str(account_id)]


async def _settle(
    session: AsyncSession,
    workspace_id: UUID,
    place: Place,
    cache: RuleCache,
    grouped: Grouped,
    now_ms: int,
) -> None:
    known = await cache.get(session, workspace_id, place.rules_revision)
    news = News()
    await asking.touch(session, workspace_id, known, news, grouped)
    settled = await settle(session, workspace_id, known, news, now_ms)
    await feed.append(session, workspace_id, grouped.changes + settled.changes)


def not_found(account_id: UUID) -> AccountNotFound:
    return AccountNotFound(f"Account {account_id} does not exist.", account_id=str(account_id))
