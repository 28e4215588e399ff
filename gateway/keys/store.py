"""SQL for keys."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.keys.model import ApiKey
from gateway.keys.secret import NewKey
from gateway.tables import ApiKeyRow, WorkspaceRow
from services.kit.postgres import SessionMaker

_COLUMNS = (
    ApiKeyRow.id,
    ApiKeyRow.kind,
    ApiKeyRow.name,
    ApiKeyRow.source_id,
    ApiKeyRow.hint,
    ApiKeyRow.created_by,
    ApiKeyRow.created_at,
    ApiKeyRow.revoked_at,
)
_FIND = text("SELECT workspace_id, source_id, kind, secret_hash FROM find_api_key(:key_id)")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the check of a key needs; only keys that are not revoked have one."""

    id: UUID
    workspace_id: UUID
    source_id: UUID | None
    kind: str
    secret_hash: bytes


async def look_up(maker: SessionMaker, key_id: UUID) -> KeyRecord | None:
    """Works in no workspace: the key is what names one."""
    async with maker() as session:
        row = (await session.execute(_FIND, {"key_id": key_id})).one_or_none()
    return None if row is None else KeyRecord(key_id, *row)


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    key: NewKey,
    *,
    name: str,
    source_id: UUID | None,
    created_by: str,
) -> ApiKey | None:
    """The new key; None where its id is taken."""
    statement = (
        insert(ApiKeyRow)
        .values(
            id=key.id,
            workspace_id=workspace_id,
            source_id=source_id,
            kind=key.kind,
            name=name,
            secret_hash=key.digest,
            hint=key.hint,
            created_by=created_by,
        )
        .on_conflict_do_nothing()
        .returning(*_COLUMNS)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else ApiKey.model_validate(row._mapping)


async def find(session: AsyncSession, key_id: UUID) -> ApiKey | None:
    row = (await session.execute(select(*_COLUMNS).where(ApiKeyRow.id == key_id))).one_or_none()
    return None if row is None else ApiKey.model_validate(row._mapping)


async def page(session: AsyncSession, after: UUID | None, limit: int) -> list[ApiKey]:
    """Keys in the order they were made, from the first after ``after``."""
    statement = select(*_COLUMNS).order_by(ApiKeyRow.id).limit(limit)
    if after is not None:
        statement = statement.where(ApiKeyRow.id > after)
    return [ApiKey.model_validate(row._mapping) for row in await session.execute(statement)]


async def revoke(session: AsyncSession, key_id: UUID) -> None:
    await session.execute(
        update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(revoked_at=func.now())
    )


async def lock_keys(session: AsyncSession) -> None:
    """Revocations of a workspace wait for each other until the transaction ends."""
    await session.execute(select(WorkspaceRow.id).with_for_update())


async def count_active(session: AsyncSession, kind: str) -> int:
    statement = (
        select(func.count())
        .select_from(ApiKeyRow)
        .where(ApiKeyRow.kind == kind, ApiKeyRow.revoked_at.is_(None))
    )
    return (await session.execute(statement)).scalar_one()
