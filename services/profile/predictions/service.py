"""What may happen to predictions and clusterings, and to their runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.ids import uuid7
from services.kit.problems import InvalidRequest
from services.profile.computed import store as computed
from services.profile.errors import (
    ClusterNotReady,
    PredictionInUse,
    PredictionNameTaken,
    PredictionNotFound,
)
from services.profile.predictions import store
from services.profile.predictions.model import ClusteringCreate, PredictionCreate
from services.profile.predictions.store import Prediction, Run
from services.profile.rules import registry
from services.profile.segments import service as segments
from services.profile.segments.store import StoredSegment
from services.profile.stream import store as stream

CLUSTERING = "clustering"
PREDICTIONS = ("clv", "rfm", "purchase", "churn", "send_time", "channel_preference")


async def create(
    session: AsyncSession, workspace_id: UUID, body: PredictionCreate, now: datetime
) -> Prediction:
    definition = body.model.model_dump(mode="json")
    made = Prediction(
        uuid7(), body.name, body.description, body.model.kind, definition, body.refresh_hours, now
    )
    await _add(session, workspace_id, made)
    return made


async def cluster(
    session: AsyncSession, workspace_id: UUID, body: ClusteringCreate, now: datetime
) -> tuple[Prediction, Run]:
    """Its only run is asked for at once: a clustering is of one moment."""
    if not (body.traits or body.behaviour or body.preferences):
        raise InvalidRequest.at("#/traits", "Give traits, behaviour or preferences to compare by.")
    definition = {**body.model_dump(mode="json"), "kind": CLUSTERING}
    made = Prediction(uuid7(), body.name, "", CLUSTERING, definition, None, now)
    await _add(session, workspace_id, made)
    return made, await request_run(session, workspace_id, made.prediction_id, now)


async def _add(session: AsyncSession, workspace_id: UUID, made: Prediction) -> None:
    await stream.lock(session, workspace_id)
    if await computed.is_taken(session, workspace_id, made.name, prediction=True):
        raise PredictionNameTaken(
            f"A prediction, clustering or computed trait is called {made.name!r} or like a part of "
            "it, or was until a moment ago."
        )
    await store.add(session, workspace_id, made)
    await computed.add(
        session, workspace_id, made.prediction_id, made.name, made.kind, description={}
    )


async def read(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, *, clustering: bool = False
) -> Prediction:
    found = await store.find(session, workspace_id, prediction_id)
    if found is None or (found.kind == CLUSTERING) != clustering:
        what = "Clustering" if clustering else "Prediction"
        raise PredictionNotFound(f"{what} {prediction_id} does not exist.")
    return found


async def read_run(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, run_id: UUID
) -> Run:
    found = await store.find_run(session, workspace_id, prediction_id, run_id)
    if found is None:
        raise PredictionNotFound(f"Run {run_id} does not exist.")
    return found


async def request_run(
    session: AsyncSession, workspace_id: UUID, prediction_id: UUID, now: datetime
) -> Run:
    """The run that is under way, if there is one, else a new one."""
    await stream.lock(session, workspace_id)
    going = await store.last_runs(session, workspace_id, [prediction_id], store.OPEN)
    if prediction_id in going:
        return going[prediction_id]
    run = Run(uuid7(), prediction_id, "queued", 0, 0.0, now, now, None, 0, None, {})
    await store.add_run(session, workspace_id, run)
    return run


async def delete(
    session: AsyncSession, workspace_id: UUID, prediction: Prediction, now: datetime
) -> None:
    """It is gone at once; its values are taken from people in the background."""
    await stream.lock(session, workspace_id)
    name, prediction_id = prediction.name, prediction.prediction_id
    if (
        reader := await registry.reader_of(session, workspace_id, name, parts_too=True)
    ) is not None:
        raise PredictionInUse(f"The {reader} reads computed.{name}; change or delete it first.")
    await store.remove(session, workspace_id, prediction_id, now)
    await computed.set_states(session, workspace_id, [prediction_id], "removing", 0.0)


async def forget(session: AsyncSession, workspace_id: UUID, prediction_id: UUID) -> None:
    """Nobody has a value of it any more: its name is free."""
    await store.forget(session, workspace_id, prediction_id)
    await computed.remove(session, workspace_id, [prediction_id])


async def last_rfm(
    session: AsyncSession, workspace_id: UUID, name: str | None
) -> tuple[Prediction, Run]:
    """The RFM prediction of this name, or the oldest, and its last run that is done."""
    known = await store.page(session, workspace_id, ["rfm"])
    found = next((each for each in known if name in (None, each.name)), None)
    if found is None:
        raise PredictionNotFound("There is no such prediction of kind rfm.")
    done = await store.last_runs(session, workspace_id, [found.prediction_id], ["done"])
    if found.prediction_id not in done:
        raise PredictionNotFound(f"No run of {found.name} is done yet.")
    return found, done[found.prediction_id]


async def accept(
    session: AsyncSession,
    workspace_id: UUID,
    clustering: Prediction,
    number: int,
    name: str,
    description: str,
    *,
    simple_rule: bool,
    made_by: str,
) -> StoredSegment:
    """Make a segment of a proposed cluster: by its simple rule, or of exactly its people."""
    last = await store.last_runs(session, workspace_id, [clustering.prediction_id], ["done"])
    run = last.get(clustering.prediction_id)
    clusters: list[dict[str, Any]] = run.metrics["clusters"] if run else []
    found = next((each for each in clusters if each["number"] == number), None)
    if found is None:
        detail = f"It has {len(clusters)} clusters." if run else "It is not done yet."
        raise ClusterNotReady(f"There is no cluster {number}. {detail}")
    rule = found["rule"] if simple_rule else _members(clustering.name, number)
    if rule is None:
        raise ClusterNotReady("No simple rule describes this cluster; take its people: `people`.")
    return await segments.create(session, workspace_id, name, description, rule, made_by)


def _members(name: str, number: int) -> dict[str, Any]:
    test = {"field": f"computed.{name}", "operator": "=", "value": number}
    return {"combinator": "and", "rules": [test]}
