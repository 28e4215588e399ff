"""SQL of sending: every change of a message's state is fenced by its lease."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.messages.model import Claimed
from services.orchestrator.messages.store import told
from services.orchestrator.messages.tables import MessageRow
from services.orchestrator.times import from_ms, to_ms

# Of all purposes a message needs: whether one was withdrawn, whether one was not granted.
_CONSENT = """
    SELECT bool_or(each.withdrawn) AS withdrawn, bool_or(NOT each.granted) AS missing
    FROM unnest(m.required) AS needed (purpose)
    CROSS JOIN LATERAL (
        SELECT
            bool_or(w.state = 'withdrawn' AND NOT EXISTS (
                SELECT FROM send_gate g
                WHERE g.workspace_id = w.workspace_id AND g.subject = w.subject
                    AND g.purpose = w.purpose AND g.state = 'granted' AND g.at > w.at
                    AND g.channel IN ('*', m.channel_type)
                    AND g.contact_point IN ('*', m.contact)
                    AND w.channel IN ('*', g.channel)
                    AND w.contact_point IN ('*', g.contact_point))) AS withdrawn,
            coalesce(bool_or(w.state = 'granted'), needed.purpose = ANY (m.presumed)) AS granted
        FROM send_gate w
        WHERE w.workspace_id = :ws AND w.subject = CAST(m.profile_id AS text)
            AND w.purpose = needed.purpose AND w.channel IN ('*', m.channel_type)
            AND w.contact_point IN ('*', m.contact)) AS each
"""


async def lock_due(
    session: AsyncSession, workspace_id: UUID, *, now: int, limit: int
) -> list[UUID]:
    """Lock messages that are due, the longest due first; other senders pass them by."""
    rows = await session.scalars(
        text(
            "SELECT id FROM message "
            "WHERE workspace_id = :ws AND run_at <= :now AND state IN ('queued', 'claimed') "
            "ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED"
        ),
        {"ws": workspace_id, "now": from_ms(now), "limit": limit},
    )
    return list(rows)


async def skip_barred(
    session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID], *, now: int, oldest: int
) -> list[Row[Any]]:
    """Of these locked messages, skip those the gate bars or that are too old; returns them.

    Runs in the transaction that claims: what was withdrawn before is never sent. It fails closed:
    what needs a consent is not sent without one. The rule is profile's (docs/consents.md): at each
    level above the contact point a withdrawal stands until a later grant inside it.
    """
    statement = text(
        f"""
        WITH judged AS (
            SELECT m.id, CASE
                WHEN every.state = 'erased' OR spot.state = 'erased' THEN 'erased'
                WHEN every.state = 'suppressed' OR spot.state = 'suppressed' THEN 'suppressed'
                WHEN consent.withdrawn THEN 'consent_withdrawn'
                WHEN consent.missing THEN 'no_consent'
                WHEN m.created_at < :oldest THEN 'expired'
            END AS reason
            FROM message m
            LEFT JOIN send_gate every ON every.workspace_id = :ws AND every.purpose = '*'
                AND every.channel = '*' AND every.contact_point = '*'
                AND every.subject = CAST(m.profile_id AS text)
            LEFT JOIN send_gate spot ON spot.workspace_id = :ws AND spot.purpose = '*'
                AND spot.channel = '*' AND spot.contact_point = '*' AND spot.subject = m.contact
            CROSS JOIN LATERAL ({_CONSENT}) AS consent
            WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[])))
        UPDATE message m SET state = 'skipped', reason = judged.reason, run_at = NULL,
            fence = m.fence + 1, updated_at = :now
        FROM judged WHERE m.id = judged.id AND judged.reason IS NOT NULL
        RETURNING {told("m")}
        """  # noqa: S608 - names of this file
    )
    values = {"ws": workspace_id, "ids": ids, "now": from_ms(now), "oldest": from_ms(oldest)}
    return list((await session.execute(statement, values)).all())


async def claim(
    session: AsyncSession, workspace_id: UUID, ids: Sequence[UUID], *, now: int, lease_ms: int
) -> list[Claimed]:
    """Lease those of these locked messages that were not skipped."""
    statement = text(
        """
        UPDATE message m SET state = 'claimed', fence = m.fence + 1, attempts = m.attempts + 1,
            run_at = :lease, updated_at = :now
        WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[]))
            AND m.state IN ('queued', 'claimed')
        RETURNING m.id, m.fence, m.channel_id, m.channel_type, m.purpose, m.contact, m.content,
            m.attempts, m.created_at, m.profile_id
        """
    )
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "ids": ids,
            "now": from_ms(now),
            "lease": from_ms(now + lease_ms),
        },
    )
    return [
        Claimed(
            id=row.id,
            fence=row.fence,
            channel_id=row.channel_id,
            channel_type=row.channel_type,
            purpose=row.purpose,
            contact=row.contact,
            content=row.content,
            attempts=row.attempts,
            created_at=to_ms(row.created_at),
            profile_id=row.profile_id,
        )
        for row in rows
    ]


async def hand_over(
    session: AsyncSession, workspace_id: UUID, claims: Sequence[Claimed], now: int
) -> set[UUID]:
    """Mark that from now on nobody can tell whether it was sent; the ids whose lease still held."""
    rows = await session.execute(
        text(
            """
            UPDATE message m SET state = 'handed_over', updated_at = :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS u (id, fence)
            WHERE m.workspace_id = :ws AND m.id = u.id AND m.fence = u.fence
                AND m.state = 'claimed'
            RETURNING m.id
            """
        ),
        {
            "ws": workspace_id,
            "ids": [claim.id for claim in claims],
            "fences": [claim.fence for claim in claims],
            "now": from_ms(now),
        },
    )
    return {row.id for row in rows}


async def settle(
    session: AsyncSession,
    workspace_id: UUID,
    settled: Sequence[tuple[Claimed, str, str | None, str | None]],
    now: int,
) -> list[Row[Any]]:
    """Write (claim, accepted | failed | unknown, reason, provider id) of messages handed over."""
    rows = await session.execute(
        text(
            f"""
            UPDATE message SET state = u.state, reason = u.reason, provider_id = u.provider,
                run_at = NULL, updated_at = :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[]), CAST(:states AS text[]),
                CAST(:reasons AS text[]), CAST(:providers AS text[]))
                AS u (mid, mfence, state, reason, provider)
            WHERE message.workspace_id = :ws AND message.id = u.mid AND message.fence = u.mfence
                AND message.state = 'handed_over'
            RETURNING {told("message")}
            """  # noqa: S608 - names of this file
        ),
        {
            "ws": workspace_id,
            "ids": [claim.id for claim, _, _, _ in settled],
            "fences": [claim.fence for claim, _, _, _ in settled],
            "states": [state for _, state, _, _ in settled],
            "reasons": [reason for _, _, reason, _ in settled],
            "providers": [provider for _, _, _, provider in settled],
            "now": from_ms(now),
        },
    )
    return list(rows.all())


async def extend(
    session: AsyncSession, workspace_id: UUID, claims: Sequence[Claimed], lease: int
) -> None:
    """Move the end (ms) of those of these leases that still hold."""
    await session.execute(
        text(
            """
            UPDATE message m SET run_at = :lease
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS u (id, fence)
            WHERE m.workspace_id = :ws AND m.id = u.id AND m.fence = u.fence
                AND m.state IN ('claimed', 'handed_over')
            """
        ),
        {
            "ws": workspace_id,
            "ids": [claim.id for claim in claims],
            "fences": [claim.fence for claim in claims],
            "lease": from_ms(lease),
        },
    )


async def release(
    session: AsyncSession,
    workspace_id: UUID,
    released: Sequence[tuple[Claimed, int]],
    now: int,
) -> None:
    """Give back claims whose message certainly did not go out: (claim, when to try again, ms)."""
    await session.execute(
        text(
            """
            UPDATE message m SET state = 'queued', run_at = u.again, updated_at = :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[]),
                CAST(:times AS timestamptz[])) AS u (id, fence, again)
            WHERE m.workspace_id = :ws AND m.id = u.id AND m.fence = u.fence
                AND m.state IN ('claimed', 'handed_over')
            """
        ),
        {
            "ws": workspace_id,
            "ids": [claim.id for claim, _ in released],
            "fences": [claim.fence for claim, _ in released],
            "times": [from_ms(again) for _, again in released],
            "now": from_ms(now),
        },
    )


async def give_up_lost(session: AsyncSession, workspace_id: UUID, now: int) -> list[Row[Any]]:
    """Messages whose sender died after the hand-over become unknown; they are not sent again.

    Webhooks carry an idempotency key that their receivers honour, so those are queued again.
    """
    rows = await session.execute(
        text(
            f"""
            UPDATE message SET fence = fence + 1, updated_at = :now,
                state = CASE channel_type WHEN 'webhook' THEN 'queued' ELSE 'unknown' END,
                reason = CASE channel_type WHEN 'webhook' THEN NULL ELSE 'answer_lost' END,
                run_at = CASE channel_type WHEN 'webhook' THEN CAST(:now AS timestamptz) END
            WHERE workspace_id = :ws AND state = 'handed_over' AND run_at <= :now
            RETURNING {told("message")}
            """  # noqa: S608 - names of this file
        ),
        {"ws": workspace_id, "now": from_ms(now)},
    )
    return [row for row in rows if row.state == "unknown"]


async def next_run_at(session: AsyncSession, workspace_id: UUID) -> int | None:
    at = await session.scalar(
        select(func.min(MessageRow.run_at)).where(
            MessageRow.workspace_id == workspace_id, MessageRow.run_at.is_not(None)
        )
    )
    return None if at is None else to_ms(at)
