"""SQL of suppressed contact points, which are lines of the send gate."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.suppressions.model import SuppressionReason
from services.orchestrator.times import from_ms

SOFT_BOUNCES = 3
"""In a row, as Keila (pentacent/keila#181) counts them."""
SOFT_DAYS = 30
_DAY_MS = 86_400_000


async def add(
    session: AsyncSession, workspace_id: UUID, contacts: Mapping[str, SuppressionReason], now: int
) -> None:
    """From now on no message to these is claimed. The first reason stands."""
    if not contacts:
        return
    await session.execute(
        text(
            """
            INSERT INTO send_gate AS g
                (workspace_id, subject, purpose, channel, contact_point, state, reason, at)
            SELECT :ws, contact, '*', '*', '*', 'suppressed', reason, :now
            FROM unnest(CAST(:contacts AS text[]), CAST(:reasons AS text[])) AS u (contact, reason)
            ORDER BY contact
            ON CONFLICT (workspace_id, subject, purpose, channel, contact_point) DO UPDATE
            SET state = excluded.state, reason = excluded.reason, at = excluded.at
            WHERE g.state NOT IN ('suppressed', 'erased')
            """
        ),
        {
            "ws": workspace_id,
            "contacts": list(contacts),
            "reasons": list(contacts.values()),
            "now": from_ms(now),
        },
    )


async def bouncing(
    session: AsyncSession, workspace_id: UUID, message_ids: Sequence[UUID], now: int
) -> list[str]:
    """Of the contact points these messages went to, those that bounced too often for a while.

    Looked for among all messages of the same person, and so by an index there is.
    """
    rows = await session.scalars(
        text(
            """
            SELECT DISTINCT b.contact FROM message b
            WHERE b.workspace_id = :ws AND b.id = ANY(CAST(:ids AS uuid[])) AND b.contact <> ''
                AND :enough <= (
                    SELECT count(DISTINCT m.id) FROM message m
                    JOIN receipt r ON r.workspace_id = :ws AND r.message_id = m.id
                        AND r.kind = 'bounced' AND r.at > :since
                    WHERE m.workspace_id = :ws AND m.profile_id = b.profile_id
                        AND m.contact = b.contact AND NOT EXISTS (
                            SELECT FROM message o
                            JOIN receipt d ON d.workspace_id = :ws AND d.message_id = o.id
                                AND d.kind IN ('delivered', 'opened', 'clicked') AND d.at >= r.at
                            WHERE o.workspace_id = :ws AND o.profile_id = b.profile_id
                                AND o.contact = b.contact))
            """
        ),
        {
            "ws": workspace_id,
            "ids": list(message_ids),
            "enough": SOFT_BOUNCES,
            "since": from_ms(now - SOFT_DAYS * _DAY_MS),
        },
    )
    return list(rows)


async def page(session: AsyncSession, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """By contact point."""
    rows = await session.execute(
        text(
            "SELECT subject AS contact, reason, at FROM send_gate WHERE state = 'suppressed' "
            "AND (CAST(:after AS text) IS NULL OR subject > :after) ORDER BY subject LIMIT :limit"
        ),
        {"after": after, "limit": limit},
    )
    return rows.all()


async def lift(session: AsyncSession, contact: str) -> bool:
    """False where it was not suppressed."""
    rows = await session.execute(
        text(
            "DELETE FROM send_gate WHERE subject = :contact AND state = 'suppressed' "
            "RETURNING subject"
        ),
        {"contact": contact},
    )
    return rows.first() is not None
