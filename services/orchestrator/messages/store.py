"""SQL of the send ledger."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.messages.model import NewMessage
from services.orchestrator.messages.tables import MessageRow
from services.orchestrator.times import from_ms

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
TOLD = (
    "id",
    "journey_id",
    "version_id",
    "participant_id",
    "node",
    "visit",
    "profile_id",
    "channel_id",
    "channel_type",
    "purpose",
    "state",
    "reason",
    "replay_id",
    "reserved",
)


def told(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in TOLD)


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
            required, presumed, contact, content, state, reason, attempts, fence, run_at,
            zone, tags, priority, expires_at, created_at, updated_at)
        SELECT :ws, id, participant_id, node, visit, channel_id, channel_type, journey_id,
            version_id, replay_id, profile_id, template_id, purpose,
            string_to_array(required, E'\\n'), string_to_array(presumed, E'\\n'), contact, content,
            CASE WHEN skipped IS NULL THEN 'queued' ELSE 'skipped' END, skipped, 0, 0,
            CASE WHEN skipped IS NULL THEN CAST(:now AS timestamptz) END,
            zone, string_to_array(tags, E'\\n'), priority,
            :now + make_interval(secs => expires_after_seconds), :now, :now
        FROM unnest({", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _NEW.items())})
            AS u ({", ".join(_NEW)})
        ON CONFLICT (workspace_id, participant_id, node, visit, channel_id) DO NOTHING
        RETURNING {told("message")}
        """  # noqa: S608 - names of this file
    )
    values: dict[str, Any] = {
        name: [getattr(message, name) for message in messages] for name in _NEW
    }
    for name in ("required", "presumed", "tags"):
        # Arrays of arrays of unequal length are none; no purpose or tag has a line break.
        values[name] = ["\n".join(getattr(message, name)) for message in messages]
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
    "required": "text",
    "presumed": "text",
    "contact": "text",
    "content": "jsonb",
    "skipped": "text",
    "zone": "text",
    "tags": "text",
    "priority": "int",
    "expires_after_seconds": "int",
}


async def withdraw(
    session: AsyncSession, workspace_id: UUID, ended: Mapping[UUID, str], now: int
) -> list[Row[Any]]:
    """Skip what is queued for these participants, each for its reason; returns those rows.

    What a sender has claimed already is on its way.
    """
    rows = await session.execute(
        text(
            f"""
            UPDATE message m SET state = 'skipped', reason = 'exited: ' || u.reason, run_at = NULL,
                fence = m.fence + 1, updated_at = :now
            FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS u (id, reason)
            WHERE m.workspace_id = :ws AND m.participant_id = u.id AND m.state IN ('queued', 'held')
            RETURNING {told("m")}
            """  # noqa: S608 - names of this file
        ),
        {
            "ws": workspace_id,
            "ids": list(ended),
            "reasons": list(ended.values()),
            "now": from_ms(now),
        },
    )
    return list(rows.all())


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
        .returning(*(getattr(MessageRow, name) for name in TOLD))
    )
    return rows.one_or_none()


async def states_of_replay(session: AsyncSession, replay_id: UUID) -> dict[str, int]:
    statement = (
        select(MessageRow.state, func.count().label("n"))
        .where(MessageRow.replay_id == replay_id)
        .group_by(MessageRow.state)
    )
    return {row.state: row.n for row in await session.execute(statement)}
