"""SQL of receipts."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.messages.store import told
from services.orchestrator.messages.tables import MessageRow
from services.orchestrator.receipts.model import NewReceipt
from services.orchestrator.receipts.tables import ReceiptRow
from services.orchestrator.times import from_ms

# A message of somebody erased has no content left, and gets no receipts either; the lock keeps an
# erasure out until they are written, and is none that sending a message would wait for.
_ADD = """
    WITH given AS (
        SELECT u.*, ROW_NUMBER() OVER () AS place
        FROM unnest(CAST(:ids AS uuid[]), CAST(:kinds AS text[]), CAST(:keys AS text[]),
            CAST(:automated AS boolean[]), CAST(:firsts AS timestamptz[]),
            CAST(:lasts AS timestamptz[]), CAST(:counts AS int[]), CAST(:details AS jsonb[]))
            AS u (message_id, kind, key, automated, at, last_at, count, detail)),
    alive AS (
        SELECT m.id FROM message m
        WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[])) AND m.content <> '{{}}'
        ORDER BY m.id FOR KEY SHARE),
    written AS (
        INSERT INTO receipt AS r (workspace_id, message_id, kind, key, automated, at, last_at,
            count, detail)
        SELECT :ws, g.message_id, g.kind, g.key, g.automated, g.at, g.last_at, g.count, g.detail
        FROM given g JOIN alive ON alive.id = g.message_id
        ORDER BY g.message_id, g.kind, g.key
        ON CONFLICT (workspace_id, message_id, kind, key) {again}
        RETURNING r.message_id, r.kind, r.key, r.count)
    SELECT g.place, {told}
    FROM written
    JOIN given g USING (message_id, kind, key)
    JOIN message m ON m.workspace_id = :ws AND m.id = written.message_id
    WHERE written.count = g.count
    ORDER BY g.place
"""
_COUNTING = """DO UPDATE SET count = r.count + excluded.count, at = least(r.at, excluded.at),
    last_at = greatest(r.last_at, excluded.last_at)"""


async def add(
    session: AsyncSession,
    workspace_id: UUID,
    receipts: Sequence[tuple[NewReceipt, int, int]],
    *,
    counting: bool,
) -> list[tuple[NewReceipt, Row[Any]]]:
    """Write receipts, each key once, with the last time (ms) and how often; answers those that are
    new, with what the ledger tells of their message.

    ``counting``: what is known already counts on. A provider's telling twice is no second time.
    """
    if not receipts:
        return []
    again = _COUNTING if counting else "DO NOTHING"
    statement = text(_ADD.format(again=again, told=told("m")))
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "ids": [each.message_id for each, _, _ in receipts],
            "kinds": [each.kind for each, _, _ in receipts],
            "keys": [each.key for each, _, _ in receipts],
            "automated": [each.automated for each, _, _ in receipts],
            "firsts": [from_ms(each.at) for each, _, _ in receipts],
            "lasts": [from_ms(last) for _, last, _ in receipts],
            "counts": [count for _, _, count in receipts],
            "details": [msgspec.json.encode(dict(each.detail)).decode() for each, _, _ in receipts],
        },
    )
    return [(receipts[row.place - 1][0], row) for row in rows]


_SETTLE = f"""
    UPDATE message m SET state = v.state, reason = v.reason, updated_at = :now
    FROM (
        SELECT given.id, CASE WHEN taken OR bool_or(r.kind NOT IN ('bounced', 'failed'))
                THEN 'accepted' ELSE 'failed' END AS state,
            CASE WHEN NOT (taken OR bool_or(r.kind NOT IN ('bounced', 'failed')))
                THEN coalesce(max(r.detail ->> 'reason'), max(r.kind)) END AS reason
        FROM unnest(CAST(:ids AS uuid[]), CAST(:taken AS boolean[])) AS given (id, taken)
        LEFT JOIN receipt r ON r.workspace_id = :ws AND r.message_id = given.id
        GROUP BY given.id, taken HAVING taken OR count(r.message_id) > 0) AS v
    WHERE m.workspace_id = :ws AND m.id = v.id AND m.state = 'unknown'
    RETURNING {told("m")}
"""  # noqa: S608 - names of this file


async def settle(
    session: AsyncSession, workspace_id: UUID, message_ids: Mapping[UUID, bool], now: int
) -> list[Row[Any]]:
    """Of these messages settle those that are unknown and have receipts, or of which the provider
    said that it has them (True); returns them (semantics SE-2)."""
    if not message_ids:
        return []
    values = {
        "ws": workspace_id,
        "ids": list(message_ids),
        "taken": list(message_ids.values()),
        "now": from_ms(now),
    }
    return list((await session.execute(text(_SETTLE), values)).all())


async def of_channel(
    session: AsyncSession, channel_id: UUID, message_ids: Collection[UUID]
) -> set[UUID]:
    """Those of these messages that went through the channel."""
    statement = select(MessageRow.id).where(
        MessageRow.channel_id == channel_id, MessageRow.id.in_(message_ids)
    )
    return set(await session.scalars(statement))


async def recipients(session: AsyncSession, message_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """Who these messages went to, and the link that ends what they were for."""
    url = MessageRow.content["unsubscribe_url"].astext.label("unsubscribe_url")
    statement = select(
        *(MessageRow.id, MessageRow.profile_id, MessageRow.contact, MessageRow.channel_type),
        *(MessageRow.required, url),
    ).where(MessageRow.id.in_(message_ids), MessageRow.replay_id.is_(None))
    return (await session.execute(statement)).all()


async def of_message(session: AsyncSession, message_id: UUID) -> Sequence[Row[Any]]:
    columns = (
        *(ReceiptRow.kind, ReceiptRow.key, ReceiptRow.automated, ReceiptRow.at),
        *(ReceiptRow.last_at, ReceiptRow.count, ReceiptRow.detail),
    )
    statement = select(*columns).where(ReceiptRow.message_id == message_id)
    return (await session.execute(statement.order_by(ReceiptRow.at, ReceiptRow.kind))).all()
