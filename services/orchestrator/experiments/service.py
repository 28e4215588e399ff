"""What may happen to an experiment: it is planned, started once, and stopped with a decision."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.orchestrator.errors import (
    ExperimentNotFound,
    ExperimentStateConflict,
    SampleRatioMismatch,
)
from services.orchestrator.experiments import results, store
from services.orchestrator.experiments.model import (
    Decision,
    Experiment,
    ExperimentCreate,
    ExperimentStop,
    GoalMetric,
)
from services.orchestrator.experiments.plan import sample_size
from services.orchestrator.journeys import store as journeys


def view(row: Row[Any]) -> Experiment:
    size = sample_size(ExperimentCreate.model_validate(row.spec))
    return Experiment(
        **row.spec,
        id=row.id,
        state=row.state,
        sample_size=size,
        decision=row.decision,
        created_at=row.created_at,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
    )


async def get(session: AsyncSession, experiment_id: UUID, *, lock: bool = False) -> Row[Any]:
    row = await store.find(session, experiment_id, lock=lock)
    if row is None:
        raise ExperimentNotFound(f"Experiment {experiment_id} does not exist.")
    return row


async def create(
    session: AsyncSession, workspace_id: UUID, experiment_id: UUID, spec: ExperimentCreate
) -> Experiment:
    await _check_metrics(session, spec)
    await store.add(session, workspace_id, experiment_id, spec.model_dump(mode="json"))
    return view(await get(session, experiment_id))


async def replace(session: AsyncSession, experiment_id: UUID, spec: ExperimentCreate) -> Experiment:
    row = await get(session, experiment_id, lock=True)
    if row.state != "draft":
        raise ExperimentStateConflict(
            f"The experiment is {row.state}: what was fixed before its start stays.",
            state=row.state,
        )
    kept = sorted(each["id"] for each in row.spec["variants"])
    if sorted(each.id for each in spec.variants) != kept and await store.published_in(
        session, experiment_id
    ):
        raise InvalidRequest.at(
            "#/variants",
            f"A published journey has a way for each of {', '.join(kept)}: keep these ids.",
        )
    await _check_metrics(session, spec)
    await store.change(session, experiment_id, spec=spec.model_dump(mode="json"))
    return view(await get(session, experiment_id))


async def start(session: AsyncSession, experiment_id: UUID, now: int) -> Experiment:
    """Said again it changes nothing."""
    row = await get(session, experiment_id, lock=True)
    if row.state == "stopped":
        raise ExperimentStateConflict("A stopped experiment does not run again.", state=row.state)
    if row.state == "draft":
        await store.start(session, experiment_id, now)
    return view(await get(session, experiment_id))


async def stop(
    session: AsyncSession, experiment_id: UUID, wanted: ExperimentStop, by: str, now: int
) -> Experiment:
    row = await get(session, experiment_id, lock=True)
    if row.state != "running":
        raise ExperimentStateConflict(
            f"The experiment is {row.state}; this needs running.", state=row.state
        )
    settled, found = _settled(row, wanted), await results.read(session, row, now)
    unsound = found.sample_ratio.mismatch and wanted.override_reason is None
    if wanted.decision == "winner" and unsound:
        raise SampleRatioMismatch(
            f"People are not divided as planned (p = {found.sample_ratio.p_value:.2g}), so no "
            "winner can be told. Find out why; or say in `override_reason` why it may stand."
        )
    decision = Decision(
        decision=wanted.decision,
        variant=settled,
        by=by,
        reason=wanted.reason,
        override_reason=wanted.override_reason,
        results=found,
    )
    await store.stop(session, experiment_id, decision.model_dump(mode="json"), now)
    return view(await get(session, experiment_id))


def _settled(row: Row[Any], wanted: ExperimentStop) -> str:
    """What everybody gets from now on."""
    names = [each["id"] for each in row.spec["variants"]]
    if wanted.decision != "winner":
        if wanted.variant is not None:
            raise InvalidRequest.at("#/variant", "Only a `winner` names its variant; leave it out.")
        return str(row.spec["fallback"])
    if wanted.variant is None or wanted.variant not in names:
        raise InvalidRequest.at("#/variant", f"Name the winner: one of {', '.join(names)}.")
    return wanted.variant


async def _check_metrics(session: AsyncSession, spec: ExperimentCreate) -> None:
    places = [("#/metric", spec.metric)]
    places += [(f"#/guardrails/{n}/metric", each.metric) for n, each in enumerate(spec.guardrails)]
    for pointer, metric in places:
        await _check_goal(session, pointer, metric)


async def _check_goal(session: AsyncSession, pointer: str, metric: GoalMetric) -> None:
    row = await journeys.find(session, metric.journey_id)
    if row is None:
        raise InvalidRequest.at(f"{pointer}/journey_id", "There is no such journey.")
    goals = [each["id"] for each in row.draft.get("goals", ())]
    if metric.goal not in goals:
        known = f"It has {', '.join(goals)}." if goals else "It has none."
        raise InvalidRequest.at(f"{pointer}/goal", f"The journey has no such goal. {known}")
