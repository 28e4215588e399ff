"""SQL of predictions, clusterings and their runs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from services.profile.predictions.model import RunState
from services.profile.predictions.tables import PredictionRow, PredictionRunRow

OPEN = ("queued", "running")
FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Prediction:
    prediction_id: UUID
    name: str
    description: str
    kind: str
    definition: dict[str, Any]
    refresh_hours: int | None
    created_at: datetime

    @property
    def currency(self) -> str | None:
        """That of the purchases it counts; None where it counts those of any, or no money."""
        only = self.definition.get("currency")
        return only["code"] if only else None


@dataclass(frozen=True, slots=True)
class Run:
    run_id: UUID
    prediction_id: UUID
    state: RunState
    attempt: int
    progress: float
    as_of: datetime
    requested_at: datetime
    finished_at: datetime | None
    people: int
    reason: str | None
    metrics: dict[str, Any]


_PREDICTION = tuple(getattr(PredictionRow, name) for name in Prediction.__slots__)
_RUN = tuple(getattr(PredictionRunRow, name) for name in Run.__slots__)


def _predictions(workspace_id: UUID, *, removed: bool = False) -> Select[Any]:
    is_removed = PredictionRow.removed_at.is_not(None)
    return (
        select(*_PREDICTION)
        .where(PredictionRow.workspace_id == workspace_id, is_removed if removed else ~is_removed)
        .order_by(PredictionRow.prediction_id)
    )


def _runs(workspace_id: UUID) -> Select[Any]:
    return select(*_RUN).where(PredictionRunRow.workspace_id == workspace_id)


async def add(session: AsyncSession, workspace_id: UUID, new: Prediction) -> None:
    values = {name: getattr(new, name) for name in Prediction.__slots__}
    await session.execute(insert(PredictionRow).values(workspace_id=workspace_id, **values))


async def find(session: AsyncSession, workspace_id: UUID, prediction_id: UUID) -> Prediction | None:
    statement = _predictions(workspace_id).where(PredictionRow.prediction_id == prediction_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Prediction(**row._mapping)


async def page(
    session: AsyncSession,
    workspace_id: UUID,
    kinds: Collection[str],
    after: UUID = FIRST,
    limit: int | None = None,
) -> list[Prediction]:
    """After an id, the oldest first."""
    statement = _predictions(workspace_id).where(
        PredictionRow.prediction_id > after, PredictionRow.kind.in_(kinds)
    )
    return [Prediction(**r._mapping) for r in await session.execute(statement.limit(limit))]


async def remove(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, now: datetime
) -> None:
    """Hide it at once; ``removed`` lists it until ``forget``."""
    mine = (
        PredictionRunRow.workspace_id == workspace_id,
        PredictionRunRow.prediction_id == prediction_id,
    )
    await session.execute(delete(PredictionRunRow).where(*mine))
    await session.execute(
        update(PredictionRow)
        .where(
            PredictionRow.workspace_id == workspace_id,
            PredictionRow.prediction_id == prediction_id,
        )
        .values(removed_at=now)
    )


async def removed(session: AsyncSession, workspace_id: UUID) -> list[Prediction]:
    found = await session.execute(_predictions(workspace_id, removed=True))
    return [Prediction(**row._mapping) for row in found]


async def forget(session: AsyncSession, workspace_id: UUID, prediction_id: UUID) -> None:
    await session.execute(
        delete(PredictionRow).where(
            PredictionRow.workspace_id == workspace_id,
            PredictionRow.prediction_id == prediction_id,
        )
    )


async def add_run(session: AsyncSession, workspace_id: UUID, run: Run) -> None:
    values = {name: getattr(run, name) for name in Run.__slots__}
    await session.execute(insert(PredictionRunRow).values(workspace_id=workspace_id, **values))


async def find_run(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, run_id: UUID
) -> Run | None:
    statement = _runs(workspace_id).where(
        PredictionRunRow.prediction_id == prediction_id, PredictionRunRow.run_id == run_id
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Run(**row._mapping)


async def runs(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, before: UUID, limit: int
) -> list[Run]:
    """The latest first."""
    statement = (
        _runs(workspace_id)
        .where(PredictionRunRow.prediction_id == prediction_id, PredictionRunRow.run_id < before)
        .order_by(PredictionRunRow.run_id.desc())
        .limit(limit)
    )
    return [Run(**row._mapping) for row in await session.execute(statement)]


async def last_runs(
    session: AsyncSession,
    workspace_id: UUID,
    prediction_ids: Collection[UUID],
    states: Collection[str] = (*OPEN, "done", "failed"),
) -> dict[UUID, Run]:
    """The latest run in one of the states, by prediction."""
    statement = (
        _runs(workspace_id)
        .where(
            PredictionRunRow.prediction_id.in_(list(prediction_ids)),
            PredictionRunRow.state.in_(states),
        )
        .ext(distinct_on(PredictionRunRow.prediction_id))
        .order_by(PredictionRunRow.prediction_id, PredictionRunRow.run_id.desc())
    )
    found = [Run(**row._mapping) for row in await session.execute(statement)]
    return {run.prediction_id: run for run in found}


async def take_up(session: AsyncSession, workspace_id: UUID) -> Run | None:
    """The oldest run that is not done, now with one more attempt."""
    oldest = (
        select(PredictionRunRow.run_id)
        .where(PredictionRunRow.workspace_id == workspace_id, PredictionRunRow.state.in_(OPEN))
        .order_by(PredictionRunRow.run_id)
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        update(PredictionRunRow)
        .where(PredictionRunRow.workspace_id == workspace_id, PredictionRunRow.run_id == oldest)
        .values(state="running", attempt=PredictionRunRow.attempt + 1, progress=0.0, people=0)
        .returning(*_RUN)
    )
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else Run(**row._mapping)


async def record(session: AsyncSession, workspace_id: UUID, run: Run, **values: Any) -> bool:
    """Write what is new of a run; False where somebody else took it up or it was deleted."""
    statement = (
        update(PredictionRunRow)
        .where(
            PredictionRunRow.workspace_id == workspace_id,
            PredictionRunRow.run_id == run.run_id,
            PredictionRunRow.attempt == run.attempt,
            PredictionRunRow.state == "running",
        )
        .values(**values)
        .returning(PredictionRunRow.run_id)
    )
    return (await session.execute(statement)).one_or_none() is not None
