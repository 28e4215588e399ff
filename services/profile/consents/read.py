"""SQL of consents as people read them, and of the texts they agreed to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.consents.model import ConsentEntry, Wording, WordingRef, WordingTexts
from services.profile.consents.tables import ConsentLineRow, WordingRow

_LEDGER = text("""
SELECT seq, line, purpose, channel, contact_point, state, at, source, message_id, wording_id,
       wording_version, proof
FROM consent_line
WHERE workspace_id = :workspace_id
  AND (profile_id = :profile_id OR profile_id IN (
    SELECT alias_id FROM alias
    WHERE workspace_id = :workspace_id AND profile_id = :profile_id))
  AND (seq, line) < (:seq, :line)
ORDER BY seq DESC, line DESC LIMIT :limit
""")

LAST = (2**63 - 1, 0)
"""Behind every place of the ledger."""


async def ledger(
    session: AsyncSession, workspace_id: UUID, profile_id: UUID, before: tuple[int, int], limit: int
) -> list[tuple[tuple[int, int], ConsentEntry]]:
    """(place, entry) of a profile and of those merged into it, the latest first."""
    parameters = {
        "workspace_id": workspace_id,
        "profile_id": profile_id,
        "seq": before[0],
        "line": before[1],
        "limit": limit,
    }
    return [
        ((row.seq, row.line), _entry(row)) for row in await session.execute(_LEDGER, parameters)
    ]


def _entry(row: Row[Any]) -> ConsentEntry:
    said: dict[str, Any] = row.proof
    evidence = said.get("evidence")
    return ConsentEntry(
        purpose=row.purpose,
        channel=row.channel,
        contact_point=row.contact_point,
        state=row.state,
        at=row.at,
        source_id=row.source,
        message_id=row.message_id,
        wording=None
        if row.wording_id is None
        else WordingRef.model_construct(id=row.wording_id, version=row.wording_version),
        # Clients write into events what they like.
        language=_text(said.get("language")),
        actor=_text(said.get("actor")),
        evidence={k: str(v) for k, v in evidence.items()} if isinstance(evidence, dict) else {},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _used() -> Any:
    return (
        select(ConsentLineRow.seq)
        .where(
            ConsentLineRow.workspace_id == WordingRow.workspace_id,
            ConsentLineRow.wording_id == WordingRow.wording_id,
            ConsentLineRow.wording_version == WordingRow.version,
        )
        .exists()
    )


async def wordings(
    session: AsyncSession, workspace_id: UUID, after: tuple[str, int], limit: int
) -> list[Wording]:
    """By id and version."""
    statement = (
        select(WordingRow, _used().label("in_use"))
        .where(WordingRow.workspace_id == workspace_id)
        .where(func.row(WordingRow.wording_id, WordingRow.version) > func.row(*after))
        .order_by(WordingRow.wording_id, WordingRow.version)
        .limit(limit)
    )
    return [_wording(row, used) for row, used in await session.execute(statement)]


async def wording(
    session: AsyncSession, workspace_id: UUID, wording_id: str, version: int
) -> Wording | None:
    statement = select(WordingRow, _used().label("in_use")).where(
        WordingRow.workspace_id == workspace_id,
        WordingRow.wording_id == wording_id,
        WordingRow.version == version,
    )
    found = (await session.execute(statement)).one_or_none()
    return None if found is None else _wording(*found)


def _wording(row: WordingRow, used: bool) -> Wording:
    return Wording(
        id=row.wording_id,
        version=row.version,
        texts=WordingTexts.model_validate(row.texts),
        in_use=used,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def put_wording(
    session: AsyncSession,
    workspace_id: UUID,
    wording_id: str,
    version: int,
    texts: dict[str, str],
    now: datetime,
) -> None:
    await session.execute(
        insert(WordingRow)
        .values(
            workspace_id=workspace_id,
            wording_id=wording_id,
            version=version,
            texts=texts,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_update(
            index_elements=["workspace_id", "wording_id", "version"],
            set_={"texts": texts, "updated_at": now},
        )
    )
