"""Keeps segments of accounts true while accounts, their people and those people's segments move."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.changes import Change
from services.profile.account_segments import store
from services.profile.account_segments.compile import AccountCondition, condition
from services.profile.account_segments.models import MembersCondition
from services.profile.accounts import member_store
from services.rules import normalise

_MEMBERS = TypeAdapter(list[MembersCondition])


async def follow(
    session: AsyncSession,
    workspace_id: UUID,
    accounts: Collection[str],
    crossed: Collection[str],
    now_ms: int,
) -> list[Change]:
    """Ask again about ``accounts`` and those of people who ``crossed`` a segment's border; the
    entries that tell of it."""
    if not accounts and not crossed:
        return []
    definitions = await store.definitions(session, workspace_id)
    if not definitions:
        return []
    touched = set(accounts)
    if crossed:
        touched |= await member_store.accounts_of(session, workspace_id, crossed)
    changes: list[Change] = []
    for segment_id, definition in definitions if touched else ():
        changes += await ask(session, workspace_id, segment_id, definition, touched, now_ms)
    return changes


async def ask(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    definition: Mapping[str, Any],
    accounts: Collection[str] | None,
    now_ms: int,
) -> list[Change]:
    """Ask one segment about some accounts, or with None about all."""
    asked = compiled(definition)
    found = await store.differing(session, workspace_id, segment_id, asked, accounts)
    await store.move(session, workspace_id, segment_id, found, now_ms)
    data = {"segment_id": str(segment_id)}
    return [
        Change(
            "account.segment_entered" if holds else "account.segment_exited",
            account_id,
            now_ms,
            dict(data),
        )
        for account_id, holds in found
    ]


def compiled(definition: Mapping[str, Any]) -> AccountCondition:
    """The condition of a stored definition."""
    return condition(normalise(dict(definition["rule"])), conditions(definition))


def conditions(definition: Mapping[str, Any]) -> list[MembersCondition]:
    """The conditions on members of a stored definition."""
    return _MEMBERS.validate_python(definition["members"])


async def reads(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> list[UUID]:
    """Segments of accounts that ask about this segment of people."""
    return [
        account_segment
        for account_segment, definition in await store.definitions(session, workspace_id)
        if any(each.segment_id == segment_id for each in conditions(definition))
    ]
