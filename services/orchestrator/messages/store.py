"""SQL of the send ledger."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.orchestrator.messages.model import Claimed, NewMessage
from services.orchestrator.messages.tables import MessageRow
from services.orchestrator.times import from_ms, to_ms

_PUBLIC = (
    MessageRow.id,
    MessageRow.journey_id,
    MessageRow.participant_id,
    MessageRow.replay_id,
    MessageRow.node,
    MessageRow.visit,
    MessageRow.profile_id,
    MessageRow.channel_id,
    MessageRow.channel_type,
    MessageRow.template_id,
    MessageRow.purpose,
    MessageRow.state,
    MessageRow.reason,
    MessageRow.contact,
    MessageRow.content,
    MessageRow.attempts,
    MessageRow.provider_id,
    MessageRow.created_at,
    MessageRow.updated_at,
)

# What the ledger tells of a message when it changes state.
_TOLD = (
    "id",
    "journey_id",
    "version_id",
    "participant_id",
    "node",
    "profile_id",
    "channel_id",
    "channel_type",
    "purpose",
    "state",
    "reason",
    "replay_id",
)


def _told(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in _TOLD)


async def add(
    session: AsyncSession, workspace_id: UUID, messages: Sequence[NewMessage], now: int
) -> list[Row[Any]]:
    """Queue messages, or write them as skipped; returns the rows that are new and skipped.

    The unique key makes a repeated step harmless (semantics SE-1, SE-2).
    """
    if not messages:
        return []
    statement = text(
        f"""
        INSERT INTO message (workspace_id, id, participant_id, node, visit, channel_id,
            channel_type, journey_id, version_id, replay_id, profile_id, template_id, purpose,
            contact, content, state, reason, attempts, fence, run_at, created_at, updated_at)
        SELECT :ws, id, participant_id, node, visit, channel_id, channel_type, journey_id,
            version_id, replay_id, profile_id, template_id, purpose, contact, content,
            CASE WHEN skipped IS NULL THEN 'queued' ELSE 'skipped' END, skipped, 0, 0,
            CASE WHEN skipped IS NULL THEN CAST(:now AS timestamptz) END, :now, :now
        FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _NEW.items())})
            AS u ({", ".join(_NEW)})
        ON CONFLICT (workspace_id, participant_id, node, visit, channel_id) DO NOTHING
        RETURNING {_told("message")}
        """  # noqa: S608 - names of this file
    )
    values: dict[str, Any] = {
        name: [getattr(message, name) for message in messages] for name in _NEW if name != "id"
    }
    values["id"] = [uuid7() for _ in messages]
    values["content"] = [msgspec.json.encode(message.content).decode() for message in messages]
    rows = await session.execute(statement, {**values, "ws": workspace_id, "now": from_ms(now)})
    return [row for row in rows if row.state == "skipped"]


_NEW = {
    "id": "uuid",
    "participant_id": "uuid",
    "node": "text",
    "visit": "int",
    "channel_id": "uuid",
    "channel_type": "text",
    "journey_id": "uuid",
    "version_id": "uuid",
    "replay_id": "uuid",
    "profile_id": "uuid",
    "template_id": "uuid",
    "purpose": "text",
    "contact": "text",
    "content": "jsonb",
    "skipped": "text",
}


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
    marketing without a granted consent is not sent.
    """
    statement = text(
        f"""
        WITH judged AS (
            SELECT m.id, CASE
                WHEN every.state = 'erased' OR spot.state = 'erased' THEN 'erased'
                WHEN every.state = 'suppressed' OR spot.state = 'suppressed' THEN 'suppressed'
                WHEN m.purpose = 'marketing' AND consent.state = 'withdrawn'
                    THEN 'consent_withdrawn'
                WHEN m.purpose = 'marketing' AND consent.state IS DISTINCT FROM 'granted'
                    THEN 'no_consent'
                WHEN m.created_at < :oldest THEN 'expired'
            END AS reason
            FROM message m
            LEFT JOIN send_gate every ON every.workspace_id = :ws AND every.purpose = '*'
                AND every.subject = CAST(m.profile_id AS text)
            LEFT JOIN send_gate spot ON spot.workspace_id = :ws AND spot.purpose = '*'
                AND spot.subject = m.contact
            LEFT JOIN send_gate consent ON consent.workspace_id = :ws
                AND consent.purpose = m.purpose AND consent.subject = CAST(m.profile_id AS text)
            WHERE m.workspace_id = :ws AND m.id = ANY(CAST(:ids AS uuid[])))
        UPDATE message m SET state = 'skipped', reason = judged.reason, run_at = NULL,
            fence = m.fence + 1, updated_at = :now
        FROM judged WHERE m.id = judged.id AND judged.reason IS NOT NULL
        RETURNING {_told("m")}
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
            RETURNING {_told("message")}
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
            RETURNING {_told("message")}
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


async def find(session: AsyncSession, message_id: UUID) -> Row[Any] | None:
    statement = select(*_PUBLIC).where(MessageRow.id == message_id)
    return (await session.execute(statement)).one_or_none()


async def page(
    session: AsyncSession, after: UUID | None, limit: int, filters: dict[str, Any]
) -> Sequence[Row[Any]]:
    """Newest first; `filters` by column, those that are None left out."""
    statement = select(*_PUBLIC)
    if after is not None:
        statement = statement.where(MessageRow.id < after)
    for name, value in filters.items():
        if value is not None:
            statement = statement.where(getattr(MessageRow, name) == value)
    return (await session.execute(statement.order_by(MessageRow.id.desc()).limit(limit))).all()


async def resolve(
    session: AsyncSession, message_id: UUID, state: str, reason: str | None
) -> Row[Any] | None:
    """Settle an unknown message; None when it is not unknown."""
    rows = await session.execute(
        update(MessageRow)
        .where(MessageRow.id == message_id, MessageRow.state == "unknown")
        .values(state=state, reason=reason, updated_at=func.now())
        .returning(*(getattr(MessageRow, name) for name in _TOLD))
    )
    return rows.one_or_none()


async def states_of_replay(session: AsyncSession, replay_id: UUID) -> dict[str, int]:
    statement = (
        select(MessageRow.state, func.count().label("n"))
        .where(MessageRow.replay_id == replay_id)
        .group_by(MessageRow.state)
    )
    return {row.state: row.n for row in await session.execute(statement)}
