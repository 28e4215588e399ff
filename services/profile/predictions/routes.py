"""Predictions over HTTP: definitions, runs, and what they say of a person."""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, Field

from services.kit.auth import UserCaller
from services.kit.pagination import Page, Paging, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import (
    PredictionInUse,
    PredictionNameTaken,
    PredictionNotFound,
    ProfileNotFound,
)
from services.profile.predictions import service, store, values, views
from services.profile.predictions.model import Kind, PredictionCreate
from services.profile.predictions.runner import predictions_bell
from services.profile.predictions.views import Prediction, Run
from services.profile.profiles.service import canonical

router = APIRouter(
    prefix="/api/v1",
    tags=["predictions"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

LAST = UUID(int=2**128 - 1)


class ProfilePrediction(BaseModel):
    """What a prediction says of a person."""

    name: str
    kind: Kind
    value: Any = Field(
        description="`clv`: money. `purchase`, `churn`: a probability. `rfm`: the cell's key. "
        "`send_time`: the hour of the week, 0 is Monday 00:00. `channel_preference`: the channel."
    )
    currency: str | None = Field(
        description="Of the money a `clv` is; null where it counts purchases of any currency, and "
        "for other kinds."
    )
    parts: dict[str, Any] = Field(
        description="What belongs to it, `low` and `high` (the ends of its interval) among them; "
        "`computed.<name>.<part>` in rules."
    )
    as_of: datetime = Field(description="The moment up to which the person's past was known.")


class ProfilePredictions(BaseModel):
    items: list[ProfilePrediction]


@router.post(
    "/predictions",
    status_code=HTTPStatus.CREATED,
    summary="Define a prediction",
    responses=problem_responses(PredictionNameTaken),
)
async def create_prediction(
    body: PredictionCreate, session: Session, caller: UserCaller, request: Request
) -> Prediction:
    """Nothing is computed until it is run, once or on its schedule after the first run."""
    now = request.state.clock.now()
    made = await service.create(session, caller.workspace_id, body, now)
    return views.prediction(made, None)


@router.get("/predictions", summary="List predictions, oldest first")
async def list_predictions(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Prediction]:
    start, workspace_id = after(paging, UUID(int=0)), caller.workspace_id
    found = await store.page(session, workspace_id, service.PREDICTIONS, start, paging.limit + 1)
    shown = found[: paging.limit]
    last = await store.last_runs(session, workspace_id, [each.prediction_id for each in shown])
    return Page(
        items=[views.prediction(each, last.get(each.prediction_id)) for each in shown],
        next_cursor=cursor(shown[-1].prediction_id) if len(found) > paging.limit else None,
    )


@router.get(
    "/predictions/{prediction_id}",
    summary="Read a prediction",
    responses=problem_responses(PredictionNotFound),
)
async def read_prediction(prediction_id: UUID, session: Session, caller: UserCaller) -> Prediction:
    found = await service.read(session, caller.workspace_id, prediction_id)
    last = await store.last_runs(session, caller.workspace_id, [prediction_id])
    return views.prediction(found, last.get(prediction_id))


@router.delete(
    "/predictions/{prediction_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a prediction",
    responses=problem_responses(PredictionNotFound, PredictionInUse),
)
async def delete_prediction(
    prediction_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    then: BackgroundTasks,
) -> None:
    """Its values are taken from people in the background; until then its name is not free."""
    found = await service.read(session, caller.workspace_id, prediction_id)
    await service.delete(session, caller.workspace_id, found, request.state.clock.now())
    then.add_task(request.state.bell.ring, predictions_bell(caller.workspace_id))


@router.post(
    "/predictions/{prediction_id}/run",
    status_code=HTTPStatus.ACCEPTED,
    summary="Compute a prediction for everybody",
    responses=problem_responses(PredictionNotFound),
)
async def run_prediction(
    prediction_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    then: BackgroundTasks,
) -> Run:
    """In the background, from everything known now. While a run is under way that one is answered.
    Rules that read `computed.<name>` follow at once.
    """
    await service.read(session, caller.workspace_id, prediction_id)
    now = request.state.clock.now()
    run = await service.request_run(session, caller.workspace_id, prediction_id, now)
    then.add_task(request.state.bell.ring, predictions_bell(caller.workspace_id))
    return views.run(run)


@router.get(
    "/predictions/{prediction_id}/runs",
    summary="List the runs of a prediction, latest first",
    responses=problem_responses(PredictionNotFound),
)
async def list_runs(
    prediction_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Run]:
    await service.read(session, caller.workspace_id, prediction_id)
    before = after(paging, LAST)
    found = await store.runs(session, caller.workspace_id, prediction_id, before, paging.limit + 1)
    shown = found[: paging.limit]
    return Page(
        items=[views.run(each) for each in shown],
        next_cursor=cursor(shown[-1].run_id) if len(found) > paging.limit else None,
    )


@router.get(
    "/predictions/{prediction_id}/runs/{run_id}",
    summary="Read a run, its progress and how good it is",
    responses=problem_responses(PredictionNotFound),
)
async def read_run(prediction_id: UUID, run_id: UUID, session: Session, caller: UserCaller) -> Run:
    await service.read(session, caller.workspace_id, prediction_id)
    return views.run(await service.read_run(session, caller.workspace_id, prediction_id, run_id))


@router.get(
    "/profiles/{profile_id}/predictions",
    summary="What is foretold of a person",
    responses=problem_responses(ProfileNotFound),
)
async def read_profile_predictions(
    profile_id: UUID, session: Session, caller: UserCaller
) -> ProfilePredictions:
    """Those predictions only that have a value for the person."""
    workspace_id = caller.workspace_id
    living = await canonical(session, workspace_id, profile_id)
    computed = await values.of_profile(session, workspace_id, str(living))
    known = await store.page(session, workspace_id, service.PREDICTIONS)
    said = [(each, values.parts(computed, each.name)) for each in known if each.name in computed]
    return ProfilePredictions(
        items=[
            ProfilePrediction(
                name=each.name,
                kind=each.kind,
                value=computed[each.name],
                currency=each.currency if each.kind == "clv" else None,
                as_of=parts.pop(values.AS_OF),
                parts=parts,
            )
            for each, parts in said
        ]
    )


def after(paging: Paging, otherwise: UUID) -> UUID:
    """The id in the cursor."""
    key = paging.after(str)
    try:
        return otherwise if key is None else UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error


def cursor(last: UUID) -> str:
    return encode_cursor(str(last))
