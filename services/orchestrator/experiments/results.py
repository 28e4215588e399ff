"""Reads what an experiment found so far, and judges it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.errors import ExperimentStateConflict
from services.orchestrator.experiments import result_store
from services.orchestrator.experiments.judge import judge
from services.orchestrator.experiments.model import ExperimentCreate
from services.orchestrator.experiments.results_model import ExperimentResults
from services.orchestrator.times import from_ms


async def read(session: AsyncSession, row: Row[Any], now: int) -> ExperimentResults:
    """Of a row of the experiment. Of a stopped one too: goals within the window still count."""
    if row.started_at is None:
        raise ExperimentStateConflict("The experiment was not started yet.", state=row.state)
    spec = ExperimentCreate.model_validate(row.spec)
    experiment_id: UUID = row.id
    primary = await result_store.numbers(session, experiment_id, spec.metric)
    guardrails = [
        await result_store.numbers(session, experiment_id, each.metric) for each in spec.guardrails
    ]
    return judge(spec, primary, guardrails, started_at=row.started_at, at=from_ms(now))
