"""SQL of goals that were reached."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.participants import Participant
from services.orchestrator.journeys.effects import Converted
from services.orchestrator.times import from_ms


async def add(
    session: AsyncSession, workspace_id: UUID, reached: Sequence[tuple[Participant, Converted]]
) -> set[tuple[UUID, str]]:
    """(participant, goal) of those that are new: each counts once, the first time."""
    if not reached:
        return set()
    first: dict[tuple[UUID, str], tuple[Participant, Converted]] = {}
    for who, goal in reached:
        first.setdefault((who.id, goal.goal), (who, goal))
    rows = await session.execute(
        text(
            """
            INSERT INTO conversion
                (workspace_id, participant_id, goal, profile_id, journey_id, version_id, at, value)
            SELECT :ws, * FROM unnest(CAST(:participants AS uuid[]), CAST(:goals AS text[]),
                CAST(:profiles AS uuid[]), CAST(:journeys AS uuid[]), CAST(:versions AS uuid[]),
                CAST(:times AS timestamptz[]), CAST(:amounts AS float8[]))
            ON CONFLICT DO NOTHING RETURNING participant_id, goal
            """
        ),
        {
            "ws": workspace_id,
            "participants": [who.id for who, _ in first.values()],
            "goals": [goal.goal for _, goal in first.values()],
            "profiles": [who.profile_id for who, _ in first.values()],
            "journeys": [who.journey_id for who, _ in first.values()],
            "versions": [who.version_id for who, _ in first.values()],
            "times": [from_ms(goal.at) for _, goal in first.values()],
            "amounts": [goal.value for _, goal in first.values()],
        },
    )
    return {(row.participant_id, row.goal) for row in rows}


async def counts(
    session: AsyncSession, journey_id: UUID, version: int | None
) -> Sequence[Row[Any]]:
    """goal, people, value: how many ways through the journey reached it, and what it was worth."""
    rows = await session.execute(
        text(
            """
            SELECT c.goal, count(*) AS people, sum(c.value) AS value
            FROM conversion c JOIN journey_version v ON v.id = c.version_id
            WHERE c.journey_id = :journey AND v.number = coalesce(CAST(:version AS int), v.number)
            GROUP BY c.goal ORDER BY c.goal
            """
        ),
        {"journey": journey_id, "version": version},
    )
    return rows.all()
