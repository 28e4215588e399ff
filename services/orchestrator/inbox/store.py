"""SQL of inboxes. Whoever changes a person's holds a lock of that person, so that ``seq`` is the
order of commits and a stream misses nothing."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.inbox.tables import InboxItemRow
from services.orchestrator.times import from_ms

_PUBLIC = (
    *(InboxItemRow.id, InboxItemRow.seq, InboxItemRow.title, InboxItemRow.text),
    *(InboxItemRow.url, InboxItemRow.data, InboxItemRow.created_at, InboxItemRow.read_at),
    InboxItemRow.archived_at,
)


async def lock(session: AsyncSession, workspace_id: UUID, profile_ids: Collection[UUID]) -> None:
    """In one order everywhere."""
    await session.execute(
        text(
            """
            SELECT pg_advisory_xact_lock(key) FROM (
                SELECT DISTINCT hashtextextended('inbox:' || :ws || ':' || person, 0) AS key
                FROM unnest(CAST(:people AS text[])) AS u (person) ORDER BY key) AS keys
            """
        ),
        {"ws": str(workspace_id), "people": [str(each) for each in profile_ids]},
    )


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    messages: Sequence[tuple[Row[Any], Mapping[str, Any]]],
    now: int,
) -> None:
    """Deliver messages of the ledger with their contents, each once."""
    if not messages:
        return
    await lock(session, workspace_id, {row.profile_id for row, _ in messages})
    await session.execute(
        text(
            """
            INSERT INTO inbox_item (workspace_id, id, profile_id, channel_id, seq, title, text, url,
                data, created_at)
            SELECT :ws, id, profile_id, channel_id,
                row_number() OVER (PARTITION BY profile_id ORDER BY id) + coalesce((
                    SELECT max(i.seq) FROM inbox_item i
                    WHERE i.workspace_id = :ws AND i.profile_id = u.profile_id), 0),
                content ->> 'subject', content ->> 'text', content ->> 'url',
                coalesce(content -> 'data', '{}'), :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:people AS uuid[]), CAST(:channels AS uuid[]),
                CAST(:contents AS jsonb[])) AS u (id, profile_id, channel_id, content)
            ON CONFLICT (id) DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "ids": [row.id for row, _ in messages],
            "people": [row.profile_id for row, _ in messages],
            "channels": [row.channel_id for row, _ in messages],
            "contents": [msgspec.json.encode(dict(content)).decode() for _, content in messages],
            "now": from_ms(now),
        },
    )


async def page(
    session: AsyncSession, profile_id: UUID, after: UUID | None, limit: int
) -> Sequence[Row[Any]]:
    """Newest first, without what is archived."""
    statement = select(*_PUBLIC).where(
        InboxItemRow.profile_id == profile_id, InboxItemRow.archived_at.is_(None)
    )
    if after is not None:
        statement = statement.where(InboxItemRow.id < after)
    return (await session.execute(statement.order_by(InboxItemRow.id.desc()).limit(limit))).all()


async def unread(session: AsyncSession, profile_id: UUID) -> int:
    statement = select(func.count()).where(
        InboxItemRow.profile_id == profile_id,
        InboxItemRow.read_at.is_(None),
        InboxItemRow.archived_at.is_(None),
    )
    return int(await session.scalar(statement) or 0)


async def find(session: AsyncSession, profile_id: UUID, item_id: UUID) -> Row[Any] | None:
    statement = select(*_PUBLIC).where(
        InboxItemRow.profile_id == profile_id, InboxItemRow.id == item_id
    )
    return (await session.execute(statement)).one_or_none()


async def mark(
    session: AsyncSession,
    profile_id: UUID,
    item_id: UUID,
    column: Literal["read_at", "archived_at"],
    now: int,
) -> bool:
    """True where it was not marked yet. The person is locked."""
    latest = await latest_seq(session, profile_id)
    rows = await session.execute(
        update(InboxItemRow)
        .where(
            InboxItemRow.profile_id == profile_id,
            InboxItemRow.id == item_id,
            getattr(InboxItemRow, column).is_(None),
        )
        .values({column: from_ms(now), "seq": latest + 1})
        .returning(InboxItemRow.id)
    )
    return rows.first() is not None


async def latest_seq(session: AsyncSession, profile_id: UUID) -> int:
    statement = select(func.max(InboxItemRow.seq)).where(InboxItemRow.profile_id == profile_id)
    return int(await session.scalar(statement) or 0)


async def changes(
    session: AsyncSession, profile_id: UUID, after: int, limit: int
) -> Sequence[Row[Any]]:
    """Items that came or were marked after ``after``, as they are now."""
    statement = select(*_PUBLIC).where(
        InboxItemRow.profile_id == profile_id, InboxItemRow.seq > after
    )
    return (await session.execute(statement.order_by(InboxItemRow.seq).limit(limit))).all()


async def move(session: AsyncSession, workspace_id: UUID, heirs: Mapping[UUID, UUID]) -> None:
    """Items of merged people (merged id → canonical id) go to the end of the heir's stream."""
    await lock(session, workspace_id, {*heirs, *heirs.values()})
    await session.execute(
        text(
            """
            WITH moved AS (
                SELECT i.id, u.heir, row_number() OVER (PARTITION BY u.heir ORDER BY i.id) AS place
                FROM inbox_item i
                JOIN unnest(CAST(:merged AS uuid[]), CAST(:heirs AS uuid[])) AS u (merged, heir)
                    ON i.profile_id = u.merged
                WHERE i.workspace_id = :ws)
            UPDATE inbox_item i SET profile_id = moved.heir, seq = moved.place + coalesce((
                SELECT max(o.seq) FROM inbox_item o
                WHERE o.workspace_id = :ws AND o.profile_id = moved.heir), 0)
            FROM moved WHERE i.workspace_id = :ws AND i.id = moved.id
            """
        ),
        {"ws": workspace_id, "merged": list(heirs), "heirs": list(heirs.values())},
    )
