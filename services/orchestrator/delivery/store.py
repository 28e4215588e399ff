"""SQL of sending: every change of a message's state is fenced by its lease."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.messages.model import Claimed
from services.orchestrator.messages.store import told
from services.orchestrator.messages.tables import MessageRow
from services.orchestrator.times import from_ms, to_ms

NOTHING_RESERVED: Mapping[UUID, Sequence[str]] = {}


async def lock_due(
    session: AsyncSession, workspace_id: UUID, *, now: int, limit: int
) -> list[UUID]:
    """Lock messages that are due, the longest due first; other senders pass them by."""
    rows = await session.scalars(
        text(
            "SELECT id FROM message "
            "WHERE workspace_id = :ws AND run_at <= :now "
            "AND state IN ('queued', 'held', 'claimed') "
            "ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED"
        ),
        {"ws": workspace_id, "now": from_ms(now), "limit": limit},
    )
    return list(rows)


async def claim(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Sequence[UUID],
    *,
    now: int,
    lease_ms: int,
    reserved: Mapping[UUID, Sequence[str]] = NOTHING_RESERVED,
) -> list[Claimed]:
    """Lease those of these locked messages that were neither skipped nor held; ``reserved``: where
    caps count them."""
    statement = text(
        """
        UPDATE message m SET state = 'claimed', fence = m.fence + 1, attempts = m.attempts + 1,
            run_at = :lease, updated_at = :now,
            reserved = coalesce(string_to_array(u.keys, E'\\n'), m.reserved)
        FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS u (id, keys)
        WHERE m.workspace_id = :ws AND m.id = u.id
            AND m.state IN ('queued', 'held', 'claimed') AND m.run_at <= :now
        RETURNING m.id, m.fence, m.channel_id, m.channel_type, m.purpose, m.contact, m.content,
            m.attempts, m.created_at, m.profile_id, m.participant_id
        """
    )
    rows = await session.execute(
        statement,
        {
            "ws": workspace_id,
            "ids": ids,
            # Arrays of arrays of unequal length are none; no address has a line break.
            "keys": ["\n".join(reserved[id]) if id in reserved else None for id in ids],
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
            participant_id=row.participant_id,
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
    released: Sequence[tuple[Claimed, int, bool]],
    now: int,
) -> None:
    """Give back claims whose message is to be tried again: (claim, when in ms, whether the try
    counts)."""
    await session.execute(
        text(
            """
            UPDATE message m SET state = 'queued', run_at = u.again, updated_at = :now,
                attempts = m.attempts - CASE WHEN u.counts THEN 0 ELSE 1 END
            FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[]),
                CAST(:times AS timestamptz[]), CAST(:counts AS boolean[]))
                AS u (id, fence, again, counts)
            WHERE m.workspace_id = :ws AND m.id = u.id AND m.fence = u.fence
                AND m.state IN ('claimed', 'handed_over')
            """
        ),
        {
            "ws": workspace_id,
            "ids": [claim.id for claim, _, _ in released],
            "fences": [claim.fence for claim, _, _ in released],
            "times": [from_ms(again) for _, again, _ in released],
            "counts": [counts for _, _, counts in released],
            "now": from_ms(now),
        },
    )


async def give_up_lost(
    session: AsyncSession, workspace_id: UUID, now: int, *, idempotent: Sequence[str]
) -> list[Row[Any]]:
    """Messages whose sender died after the hand-over become unknown; they are not sent again.

    Those of ``idempotent`` channel types carry a key that the provider honours, so they are queued
    again.
    """
    rows = await session.execute(
        text(
            f"""
            UPDATE message SET fence = fence + 1, updated_at = :now,
                state = CASE WHEN channel_type = ANY(:keyed) THEN 'queued' ELSE 'unknown' END,
                reason = CASE WHEN channel_type = ANY(:keyed) THEN NULL ELSE 'answer_lost' END,
                run_at = CASE WHEN channel_type = ANY(:keyed) THEN CAST(:now AS timestamptz) END
            WHERE workspace_id = :ws AND state = 'handed_over' AND run_at <= :now
            RETURNING {told("message")}
            """  # noqa: S608 - names of this file
        ),
        {"ws": workspace_id, "now": from_ms(now), "keyed": list(idempotent)},
    )
    return [row for row in rows if row.state == "unknown"]


async def next_run_at(session: AsyncSession, workspace_id: UUID) -> int | None:
    at = await session.scalar(
        select(func.min(MessageRow.run_at)).where(
            MessageRow.workspace_id == workspace_id, MessageRow.run_at.is_not(None)
        )
    )
    return None if at is None else to_ms(at)
