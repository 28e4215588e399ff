"""SQL of tasks. A task is open while its participant waits at its node, in its visit."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.effects import TaskAsked
from services.orchestrator.times import from_ms

_SELECT = """
SELECT t.id, t.journey_id, t.participant_id, t.profile_id, t.node, t.title, t.department, t.outcome,
    t.note, t.done_by, t.due_at, t.created_at, t.done_at, t.visit,
    CASE WHEN t.outcome IS NOT NULL THEN 'done'
        WHEN p.state = 'waiting' AND p.node = t.node AND p.visit = t.visit THEN 'open'
        ELSE 'void' END AS state
FROM task t LEFT JOIN participant p ON p.id = t.participant_id
"""


async def add(
    session: AsyncSession, workspace_id: UUID, asked: Sequence[tuple[Participant, TaskAsked]]
) -> None:
    if not asked:
        return
    await session.execute(
        text(
            """
            INSERT INTO task (workspace_id, id, journey_id, participant_id, profile_id, node, visit,
                title, department, due_at)
            SELECT :ws, * FROM unnest(CAST(:ids AS uuid[]), CAST(:journeys AS uuid[]),
                CAST(:participants AS uuid[]), CAST(:profiles AS uuid[]), CAST(:nodes AS text[]),
                CAST(:visits AS int[]), CAST(:titles AS text[]), CAST(:departments AS text[]),
                CAST(:due AS timestamptz[]))
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "ids": [uuid7() for _ in asked],
            "journeys": [who.journey_id for who, _ in asked],
            "participants": [who.id for who, _ in asked],
            "profiles": [who.profile_id for who, _ in asked],
            "nodes": [task.node for _, task in asked],
            "visits": [task.visit for _, task in asked],
            "titles": [task.title for _, task in asked],
            "departments": [task.department for _, task in asked],
            "due": [from_ms(task.due_at) for _, task in asked],
        },
    )


async def find(session: AsyncSession, task_id: UUID) -> Row[Any] | None:
    rows = await session.execute(text(f"{_SELECT} WHERE t.id = :id"), {"id": task_id})
    return rows.one_or_none()


async def page(
    session: AsyncSession,
    after: UUID | None,
    limit: int,
    *,
    department: str | None,
    state: str | None,
    journey_id: UUID | None,
) -> Sequence[Row[Any]]:
    """Newest first."""
    statement = text(
        f"""
        SELECT * FROM ({_SELECT}) AS each
        WHERE (CAST(:after AS uuid) IS NULL OR id < :after)
            AND (CAST(:department AS text) IS NULL OR department = :department)
            AND (CAST(:state AS text) IS NULL OR state = :state)
            AND (CAST(:journey AS uuid) IS NULL OR journey_id = :journey)
        ORDER BY id DESC LIMIT :limit
        """  # noqa: S608 - a constant of this file
    )
    values = {
        "after": after,
        "department": department,
        "state": state,
        "journey": journey_id,
        "limit": limit,
    }
    return (await session.execute(statement, values)).all()


async def done(
    session: AsyncSession, task_id: UUID, outcome: str, note: str | None, by: str, now: int
) -> None:
    await session.execute(
        text(
            "UPDATE task SET outcome = :outcome, note = :note, done_by = :by, done_at = :now "
            "WHERE id = :id"
        ),
        {"id": task_id, "outcome": outcome, "note": note, "by": by, "now": from_ms(now)},
    )
