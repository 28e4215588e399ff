"""Awaited events of participants that are still on their way to the wait (semantics WU-2)."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.compiled import Happening
from services.orchestrator.times import from_ms, to_ms


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def keep(
    session: AsyncSession, workspace_id: UUID, missed: Sequence[tuple[UUID, Happening]]
) -> None:
    """Keep awaited events for participants that are still on their way to the wait."""
    if not missed:
        return
    await session.execute(
        text(
            """
            INSERT INTO missed_event
                (workspace_id, participant_id, message_id, event, occurred_at, properties, context)
            SELECT :ws, * FROM unnest(CAST(:participants AS uuid[]), CAST(:message_ids AS text[]),
                CAST(:events AS text[]), CAST(:times AS timestamptz[]),
                CAST(:properties AS jsonb[]), CAST(:contexts AS jsonb[]))
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "participants": [participant for participant, _ in missed],
            "message_ids": [event.message_id for _, event in missed],
            "events": [event.event for _, event in missed],
            "times": [from_ms(event.at) for _, event in missed],
            "properties": [_json(event.properties) for _, event in missed],
            "contexts": [_json(event.context) for _, event in missed],
        },
    )


async def read(
    session: AsyncSession, workspace_id: UUID, participants: Sequence[Participant]
) -> dict[UUID, list[Happening]]:
    """What was kept, by participant, oldest first."""
    rows = await session.execute(
        text(
            "SELECT participant_id, message_id, event, occurred_at, properties, context "
            "FROM missed_event WHERE workspace_id = :ws "
            "AND participant_id = ANY(CAST(:ids AS uuid[])) ORDER BY occurred_at, message_id"
        ),
        {"ws": workspace_id, "ids": [p.id for p in participants]},
    )
    profiles = {p.id: p.profile_id for p in participants}
    found: dict[UUID, list[Happening]] = {}
    for row in rows:
        found.setdefault(row.participant_id, []).append(
            Happening(
                profiles[row.participant_id],
                row.event,
                row.message_id,
                to_ms(row.occurred_at),
                row.properties,
                row.context,
            )
        )
    return found


async def drop(
    session: AsyncSession,
    workspace_id: UUID,
    participants: Sequence[Participant],
    consumed: Sequence[tuple[UUID, str]],
) -> None:
    """Forget events that passed a wait or are from before where their participants now are, and
    all of those who left."""
    await session.execute(
        text(
            """
            DELETE FROM missed_event m
            USING unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS u (id, arrived_at)
            WHERE m.workspace_id = :ws AND m.participant_id = u.id
                AND (u.arrived_at IS NULL OR m.occurred_at < u.arrived_at
                    OR (m.participant_id, m.message_id) IN (SELECT * FROM unnest(
                        CAST(:consumed_ids AS uuid[]), CAST(:consumed_messages AS text[]))))
            """
        ),
        {
            "ws": workspace_id,
            "ids": [p.id for p in participants],
            "times": [
                None if p.position.state == "exited" else from_ms(p.position.arrived_at)
                for p in participants
            ],
            "consumed_ids": [participant for participant, _ in consumed],
            "consumed_messages": [message_id for _, message_id in consumed],
        },
    )
