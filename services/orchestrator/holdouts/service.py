"""Changing holdouts, and reading what they show."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import position_store
from services.orchestrator.experiments.results_model import Lift
from services.orchestrator.experiments.sequential import Sample, Tuning, difference
from services.orchestrator.holdouts import arm_store, store
from services.orchestrator.holdouts.model import (
    ArmResult,
    Comparison,
    GoalLift,
    Holdout,
    LiftReport,
    Membership,
)
from services.orchestrator.journeys.graph import Graph
from services.rules.bucket import BUCKETS

TUNING = Tuning(alpha=0.05, planned=20_000)
"""Nobody plans how many people a holdout gets; narrowest at a usual number, right at every one."""


async def read(session: AsyncSession, workspace_id: UUID, scope_id: UUID) -> Holdout:
    """One that was never set holds nobody."""
    row = await store.find(session, scope_id)
    history = await store.membership(session, scope_id)
    return Holdout(
        journey_id=None if scope_id == workspace_id else scope_id,
        percent=row.buckets * 100 / BUCKETS if row else 0,
        salt=row.salt if row else "",
        membership=[Membership.model_validate(each) for each in history],
    )


async def change(
    session: AsyncSession, workspace_id: UUID, scope_id: UUID, buckets: int, now: int
) -> Holdout:
    """``scope_id``: a journey, or the workspace."""
    await position_store.register_workspaces(session, [workspace_id])
    before = await store.lock(session, workspace_id, scope_id, uuid4().hex)
    if before != buckets:
        await store.resize(session, workspace_id, scope_id, before, buckets, now)
    return await read(session, workspace_id, scope_id)


async def lift(session: AsyncSession, journey: Row[Any]) -> LiftReport:
    """Of the goals of the journey's draft, which those of its versions are called by."""
    people = {row.arm: row for row in await arm_store.counts(session, journey.id)}
    reached = {
        (row.arm, row.goal): row.reached for row in await arm_store.goals(session, journey.id)
    }
    lasting = [
        goal.id
        for goal in Graph.model_validate(journey.draft).goals
        if goal.event is not None and goal.window_seconds
    ]
    found = []
    for goal in lasting:
        treated, held, globally = (
            _arm(people, reached, goal, arm) for arm in ("treated", "held_out", "globally_held_out")
        )
        found.append(
            GoalLift(
                goal=goal,
                journey=_compare(treated, held),
                overall=_compare(_both(treated, held), globally),
            )
        )
    return LiftReport(alpha=TUNING.alpha, goals=found)


def _arm(
    people: Mapping[str, Row[Any]], reached: Mapping[tuple[str, str], int], goal: str, arm: str
) -> ArmResult:
    row = people.get(arm)
    return ArmResult(
        people=row.people if row else 0,
        mixed=row.mixed if row else 0,
        reached=reached.get((arm, goal), 0),
    )


def _both(one: ArmResult, other: ArmResult) -> ArmResult:
    return ArmResult(
        people=one.people + other.people,
        mixed=one.mixed + other.mixed,
        reached=one.reached + other.reached,
    )


def _compare(treated: ArmResult, held_out: ArmResult) -> Comparison:
    found = difference(_sample(held_out), _sample(treated), TUNING)
    return Comparison(
        treated=treated,
        held_out=held_out,
        lift=None if found is None else Lift.model_validate(found),
        incremental=None if found is None else found.estimate * treated.people,
    )


def _sample(arm: ArmResult) -> Sample:
    return Sample(arm.people, arm.reached / arm.people if arm.people else 0.0)
