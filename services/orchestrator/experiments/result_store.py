"""SQL of an experiment's results: exposures against the goals that people reached."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.experiments.judge import Observed
from services.orchestrator.experiments.model import GoalMetric

# By the person, not the participant: who is exposed once may reach the goal on a later way through
# the journey, or in another one. Whoever reached nothing counts as 0.
_NUMBERS = """
    WITH reached AS (
        SELECT e.profile_id, sum(coalesce(c.value, 0)) AS worth
        FROM exposure e JOIN conversion c ON c.workspace_id = e.workspace_id
            AND c.profile_id = e.profile_id AND c.at >= e.at AND c.at <= e.at + :window
        WHERE e.experiment_id = :experiment AND c.journey_id = :journey AND c.goal = :goal
        GROUP BY e.profile_id),
    seen AS (
        SELECT e.variant, e.mixed, CASE WHEN r.profile_id IS NULL THEN 0 WHEN :people THEN 1
            ELSE r.worth END AS worth
        FROM exposure e LEFT JOIN reached r USING (profile_id)
        WHERE e.experiment_id = :experiment)
    SELECT variant, count(*) AS people, count(*) FILTER (WHERE mixed) AS mixed,
        avg(worth) AS mean, var_samp(worth) AS variance
    FROM seen GROUP BY variant"""


async def numbers(
    session: AsyncSession, experiment_id: UUID, metric: GoalMetric
) -> dict[str, Observed]:
    """By variant."""
    rows = await session.execute(
        text(_NUMBERS),
        {
            "experiment": experiment_id,
            "journey": metric.journey_id,
            "goal": metric.goal,
            "window": timedelta(seconds=metric.window_seconds),
            "people": metric.measure == "people",
        },
    )
    return {row.variant: Observed(row.people, row.mixed, row.mean, row.variance) for row in rows}
