"""SQL of segments of accounts and which accounts are in them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.account_segments.compile import AccountCondition
from services.profile.account_segments.tables import AccountMembershipRow, AccountSegmentRow
from services.profile.accounts.tables import AccountRow
from services.profile.arrays import plain, statement
from services.profile.errors import AccountSegmentNameTaken
from services.profile.rules.tables import RuleRow

_ENTER = statement("""
INSERT INTO account_membership (workspace_id, segment_id, account_id, entered_at)
SELECT :workspace_id, :segment_id, account_id, to_timestamp(:now_ms / 1000.0)
FROM unnest(CAST(:ids AS uuid[])) AS new(account_id)
""")

_EXIT = statement("""
DELETE FROM account_membership m USING unnest(CAST(:ids AS uuid[])) AS old(account_id)
WHERE m.workspace_id = :workspace_id AND m.segment_id = :segment_id
  AND m.account_id = old.account_id
""")


@dataclass(frozen=True, slots=True)
class StoredAccountSegment:
    segment_id: UUID
    name: str
    description: str
    definition: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    accounts: int


@dataclass(frozen=True, slots=True)
class Inside:
    """An account in a segment."""

    account_id: UUID
    group_id: str
    entered_at: datetime


async def definitions(
    session: AsyncSession, workspace_id: UUID
) -> list[tuple[UUID, dict[str, Any]]]:
    """(id, definition) of all segments of accounts, oldest first."""
    columns = select(AccountSegmentRow.segment_id, AccountSegmentRow.definition)
    found = columns.where(AccountSegmentRow.workspace_id == workspace_id)
    rows = await session.execute(found.order_by(AccountSegmentRow.segment_id))
    return [(r.segment_id, r.definition) for r in rows]


async def differing(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    condition: AccountCondition,
    account_ids: Collection[str] | None,
) -> list[tuple[str, bool]]:
    """(account id, whether the condition holds) where that is not what is stored; of these accounts
    or, with None, of all."""
    asked = "true"
    values: dict[str, Any] = {"workspace_id": workspace_id, "segment_id": segment_id}
    if account_ids is not None:
        asked = "a.account_id IN (SELECT unnest(CAST(CAST(:ids AS text) AS uuid[])))"
        values["ids"] = plain(account_ids)
    # S608: the condition is written by `condition`; every value in it is bound.
    sql = f"""
      SELECT a.account_id::text AS account_id, h.account_id IS NULL AS holds
      FROM account a LEFT JOIN account_membership h
        ON h.workspace_id = a.workspace_id AND h.segment_id = :segment_id
        AND h.account_id = a.account_id
      WHERE a.workspace_id = :workspace_id AND {asked}
        AND {condition.sql} = (h.account_id IS NULL)
      ORDER BY a.account_id"""  # noqa: S608
    rows = await session.execute(text(sql), values | condition.params)
    return [(r.account_id, r.holds) for r in rows]


async def move(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    crossings: Sequence[tuple[str, bool]],
    now_ms: int,
) -> None:
    """Write which accounts entered (true) and left."""
    parameters: dict[str, object] = {"workspace_id": workspace_id, "segment_id": segment_id}
    if entered := [account_id for account_id, holds in crossings if holds]:
        await session.execute(_ENTER, parameters | {"ids": plain(entered), "now_ms": now_ms})
    if left := [account_id for account_id, holds in crossings if not holds]:
        await session.execute(_EXIT, parameters | {"ids": plain(left)})


def _select(workspace_id: UUID) -> Select[Any]:
    row = AccountSegmentRow
    accounts = (
        select(func.count())
        .where(
            AccountMembershipRow.workspace_id == workspace_id,
            AccountMembershipRow.segment_id == row.segment_id,
        )
        .scalar_subquery()
    )
    columns = (row.segment_id, row.name, row.description, row.definition)
    times = (row.created_at, row.updated_at)
    found = select(*columns, *times, accounts.label("accounts"))
    return found.where(row.workspace_id == workspace_id)


async def find(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID
) -> StoredAccountSegment | None:
    found = _select(workspace_id).where(AccountSegmentRow.segment_id == segment_id)
    row = (await session.execute(found)).one_or_none()
    return None if row is None else StoredAccountSegment(**row._mapping)


async def page(
    session: AsyncSession, workspace_id: UUID, after: UUID, limit: int
) -> list[StoredAccountSegment]:
    """Segments after an id; ids are ordered by time of creation."""
    segment_id = AccountSegmentRow.segment_id
    found = _select(workspace_id).where(segment_id > after).order_by(segment_id).limit(limit)
    return [StoredAccountSegment(**row._mapping) for row in await session.execute(found)]


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    name: str,
    description: str,
    definition: dict[str, Any],
) -> None:
    values = {"workspace_id": workspace_id, "segment_id": segment_id, "created_at": func.now()}
    said = {"name": name, "description": description, "definition": definition}
    changed = said | {"updated_at": func.now()}
    try:
        await session.execute(insert(AccountSegmentRow).values(values | changed))
    except IntegrityError as error:
        raise _taken(name) from error


async def replace(
    session: AsyncSession,
    workspace_id: UUID,
    segment_id: UUID,
    name: str,
    description: str,
    definition: dict[str, Any],
) -> bool:
    """Whether there is such a segment."""
    row = AccountSegmentRow
    said = {"name": name, "description": description, "definition": definition}
    changed = (
        update(row)
        .where(row.workspace_id == workspace_id, row.segment_id == segment_id)
        .values(said | {"updated_at": func.now()})
        .returning(row.segment_id)
    )
    try:
        return (await session.execute(changed)).one_or_none() is not None
    except IntegrityError as error:
        raise _taken(name) from error


async def remove(session: AsyncSession, workspace_id: UUID, segment_id: UUID) -> None:
    for table in (AccountSegmentRow, AccountMembershipRow):
        gone = (table.workspace_id == workspace_id) & (table.segment_id == segment_id)
        await session.execute(delete(table).where(gone))


async def inside(
    session: AsyncSession, workspace_id: UUID, segment_id: UUID, after: UUID, limit: int
) -> list[Inside]:
    """Accounts in a segment after an account id, in order of it."""
    held, account = AccountMembershipRow, AccountRow
    same = (account.workspace_id == held.workspace_id) & (account.account_id == held.account_id)
    found = (
        select(held.account_id, account.group_id, held.entered_at)
        .join(account, same)
        .where(held.workspace_id == workspace_id, held.segment_id == segment_id)
        .where(held.account_id > after)
        .order_by(held.account_id)
        .limit(limit)
    )
    return [Inside(**row._mapping) for row in await session.execute(found)]


async def of_account(
    session: AsyncSession, workspace_id: UUID, account_id: UUID
) -> list[tuple[UUID, str, datetime]]:
    """(segment id, name, entered at) of the segments an account is in, by name."""
    row, held = AccountSegmentRow, AccountMembershipRow
    same = (held.workspace_id == row.workspace_id) & (held.segment_id == row.segment_id)
    found = (
        select(row.segment_id, row.name, held.entered_at)
        .join(held, same)
        .where(row.workspace_id == workspace_id, held.account_id == account_id)
        .order_by(row.name)
    )
    return [(r.segment_id, r.name, r.entered_at) for r in await session.execute(found)]


async def people_segments(
    session: AsyncSession, workspace_id: UUID, segment_ids: Collection[UUID]
) -> set[UUID]:
    """Those of the ids that are segments of people."""
    found = select(RuleRow.rule_id).where(
        RuleRow.workspace_id == workspace_id,
        RuleRow.kind == "segment",
        RuleRow.rule_id.in_(list(segment_ids)),
    )
    return set((await session.execute(found)).scalars())


def _taken(name: str) -> AccountSegmentNameTaken:
    return AccountSegmentNameTaken(f"Another segment of accounts is called {name!r}.")
