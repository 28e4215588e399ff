"""SQL of who entered a journey with a holdout, or would have, and the goals they reached."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.times import from_ms

Arm = Literal["treated", "held_out", "globally_held_out"]


@dataclass(frozen=True, slots=True)
class Would:
    """Somebody whom the ledger would let in."""

    journey_id: UUID
    version_id: UUID
    profile_id: UUID
    arm: Arm
    at: int
    trigger: Mapping[str, Any]


async def keep(session: AsyncSession, workspace_id: UUID, arms: Sequence[Would]) -> None:
    """Each person's first in each journey stays."""
    if not arms:
        return
    # In one order everywhere: two blocks with the same people must not deadlock.
    arms = sorted(arms, key=lambda each: (each.profile_id, each.journey_id, each.at))
    await session.execute(
        text(
            """
            INSERT INTO holdout_arm (workspace_id, profile_id, journey_id, version_id, arm, at,
                trigger, mixed)
            SELECT :ws, *, false FROM unnest(CAST(:profiles AS uuid[]), CAST(:journeys AS uuid[]),
                CAST(:versions AS uuid[]), CAST(:arms AS text[]), CAST(:times AS timestamptz[]),
                CAST(:triggers AS jsonb[]))
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "profiles": [each.profile_id for each in arms],
            "journeys": [each.journey_id for each in arms],
            "versions": [each.version_id for each in arms],
            "arms": [each.arm for each in arms],
            "times": [from_ms(each.at) for each in arms],
            "triggers": [msgspec.json.encode(each.trigger).decode() for each in arms],
        },
    )


async def of(
    session: AsyncSession, workspace_id: UUID, profile_ids: Collection[UUID], since: int
) -> Sequence[Row[Any]]:
    """journey_id, version_id, profile_id, at, trigger of these people, from ``since`` (ms) on."""
    rows = await session.execute(
        text(
            "SELECT journey_id, version_id, profile_id, at, trigger FROM holdout_arm WHERE "
            "workspace_id = :ws AND profile_id = ANY(CAST(:ids AS uuid[])) AND at >= :since"
        ),
        {"ws": workspace_id, "ids": list(profile_ids), "since": from_ms(since)},
    )
    return rows.all()


async def reach(
    session: AsyncSession, workspace_id: UUID, reached: Sequence[tuple[UUID, UUID, str, int]]
) -> None:
    """``reached``: (profile, journey, goal, at in ms); each goal counts once."""
    if not reached:
        return
    await session.execute(
        text(
            """
            INSERT INTO holdout_goal (workspace_id, profile_id, journey_id, goal, at)
            SELECT :ws, * FROM unnest(CAST(:profiles AS uuid[]), CAST(:journeys AS uuid[]),
                CAST(:goals AS text[]), CAST(:times AS timestamptz[]))
            ON CONFLICT DO NOTHING
            """
        ),
        {
            "ws": workspace_id,
            "profiles": [each[0] for each in reached],
            "journeys": [each[1] for each in reached],
            "goals": [each[2] for each in reached],
            "times": [from_ms(each[3]) for each in reached],
        },
    )


async def counts(session: AsyncSession, journey_id: UUID) -> Sequence[Row[Any]]:
    """arm, people, mixed."""
    rows = await session.execute(
        text(
            "SELECT arm, count(*) AS people, count(*) FILTER (WHERE mixed) AS mixed "
            "FROM holdout_arm WHERE journey_id = :journey GROUP BY arm"
        ),
        {"journey": journey_id},
    )
    return rows.all()


async def goals(session: AsyncSession, journey_id: UUID) -> Sequence[Row[Any]]:
    """arm, goal, reached."""
    rows = await session.execute(
        text(
            """
            SELECT a.arm, g.goal, count(*) AS reached
            FROM holdout_arm a JOIN holdout_goal g USING (workspace_id, profile_id, journey_id)
            WHERE a.journey_id = :journey GROUP BY a.arm, g.goal
            """
        ),
        {"journey": journey_id},
    )
    return rows.all()
