"""SQL of erasures, and of the rows they remove."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.accounts.tables import AccountMemberRow
from services.profile.consents.tables import ConsentLineRow
from services.profile.erasure.personal import PERSONAL, Held, Person
from services.profile.erasure.tables import ConsentProofRow, ErasureRow
from services.profile.identity.tables import AliasRow, IdentifierRow

_OPEN = text("SELECT workspace_id, erasure_id FROM erasure_open()")
_EXPIRE = text("SELECT consent_proof_expire(:now)")


@dataclass(frozen=True, slots=True)
class Open:
    workspace_id: UUID
    erasure_id: UUID


async def open_erasures(session: AsyncSession) -> list[Open]:
    """Of all workspaces, the oldest first."""
    return [Open(*row) for row in await session.execute(_OPEN)]


async def person(session: AsyncSession, workspace_id: UUID, living: UUID) -> Person:
    """Everything that names the person behind a living profile."""
    aliases = await session.scalars(
        select(AliasRow.alias_id)
        .where(AliasRow.workspace_id == workspace_id, AliasRow.profile_id == living)
        .order_by(AliasRow.alias_id)
    )
    row = IdentifierRow
    found = await session.execute(
        select(row.subject_id, row.namespace, row.value)
        .where(row.workspace_id == workspace_id, row.profile_id == living)
        .order_by(row.namespace, row.value)
    )
    profile_ids = [living, *aliases]
    named = found.all()
    subjects = dict.fromkeys([*profile_ids, *(subject for subject, _, _ in named)])
    return Person(profile_ids, list(subjects), [(n, v) for _, n, v in named])


async def remove(session: AsyncSession, workspace_id: UUID, person: Person) -> dict[str, int]:
    """Removes the person from every table of ``PERSONAL``; rows that went, by table."""
    return {held.table: await _remove(session, workspace_id, person, held) for held in PERSONAL}


async def _remove(session: AsyncSession, workspace_id: UUID, person: Person, held: Held) -> int:
    theirs = held.of(workspace_id, person)
    statement: Any = (
        delete(held.row).where(theirs)
        if held.blank is None
        else update(held.row).where(theirs).values(held.blank)
    )
    return len((await session.execute(statement.returning(literal(1)))).all())


async def left(session: AsyncSession, workspace_id: UUID, person: Person) -> dict[str, int]:
    """Rows of the person there are, by table."""
    found = {}
    for held in PERSONAL:
        count = select(func.count()).select_from(held.row).where(held.of(workspace_id, person))
        found[held.table] = int(await session.scalar(count) or 0)
    return found


async def accounts_of(session: AsyncSession, workspace_id: UUID, person: Person) -> set[str]:
    row = AccountMemberRow
    found = await session.scalars(
        select(row.account_id).where(
            row.workspace_id == workspace_id, row.profile_id.in_(person.profile_ids)
        )
    )
    return {str(account_id) for account_id in found}


async def keep_proof(
    session: AsyncSession,
    workspace_id: UUID,
    erasure_id: UUID,
    person: Person,
    keep_until: datetime,
) -> None:
    """Copies the consent ledger without the person."""
    entry, proof = ConsentLineRow, ConsentProofRow
    columns = (
        *(proof.workspace_id, proof.proof_id, proof.erasure_id, proof.purpose, proof.state),
        *(proof.at, proof.source, proof.keep_until),
    )
    theirs = select(
        *(entry.workspace_id, func.gen_random_uuid(), literal(erasure_id)),
        *(entry.purpose, entry.state, entry.at, entry.source, literal(keep_until)),
    ).where(entry.workspace_id == workspace_id, entry.profile_id.in_(person.profile_ids))
    await session.execute(insert(proof).from_select([c.key for c in columns], theirs))


async def forget_expired_proof(session: AsyncSession, now: datetime) -> None:
    """Of all workspaces."""
    await session.execute(_EXPIRE, {"now": now})


async def proof(
    session: AsyncSession, workspace_id: UUID, erasure_id: UUID
) -> list[ConsentProofRow]:
    row = ConsentProofRow
    statement = select(row).where(row.workspace_id == workspace_id, row.erasure_id == erasure_id)
    return list(await session.scalars(statement.order_by(row.at, row.purpose, row.state)))


async def add(session: AsyncSession, row: ErasureRow) -> None:
    session.add(row)
    await session.flush()


async def find(
    session: AsyncSession, workspace_id: UUID, erasure_id: UUID, *, lock: bool = False
) -> ErasureRow | None:
    """``lock``: nobody else works on it until the transaction ends."""
    statement = select(ErasureRow).where(
        ErasureRow.workspace_id == workspace_id, ErasureRow.erasure_id == erasure_id
    )
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def page(
    session: AsyncSession, workspace_id: UUID, before: UUID | None, limit: int
) -> list[ErasureRow]:
    """The newest first."""
    statement = select(ErasureRow).where(ErasureRow.workspace_id == workspace_id)
    if before is not None:
        statement = statement.where(ErasureRow.erasure_id < before)
    statement = statement.order_by(ErasureRow.erasure_id.desc()).limit(limit)
    return list(await session.scalars(statement))


async def compacted(session: AsyncSession, erasures: Collection[Open], now: datetime) -> None:
    """In a transaction of one workspace, those of it."""
    ids = [each.erasure_id for each in erasures]
    await session.execute(
        update(ErasureRow).where(ErasureRow.erasure_id.in_(ids)).values(compacted_at=now)
    )
