"""Experiments over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import (
    ExperimentNotFound,
    ExperimentStateConflict,
    SampleRatioMismatch,
)
from services.orchestrator.experiments import results, service, store
from services.orchestrator.experiments.model import (
    Experiment,
    ExperimentCreate,
    ExperimentState,
    ExperimentStop,
)
from services.orchestrator.experiments.results_model import ExperimentResults
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/experiments",
    tags=["experiments"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)
_ONE = problem_responses(ExperimentNotFound)
_CHANGE = problem_responses(ExperimentNotFound, ExperimentStateConflict)


@router.post("", status_code=HTTPStatus.CREATED, summary="Plan an experiment")
async def create_experiment(
    body: ExperimentCreate, new_id: NewId, caller: UserCaller, session: Session
) -> Experiment:
    """A draft: nobody is in it before it is started. The answer says how many people it needs.

    Journeys divide people by it with a node of type `experiment`.
    """
    return await service.create(session, caller.workspace_id, new_id, body)


@router.get("", summary="List experiments, newest first")
async def list_experiments(
    session: Session, paging: PagingParams, state: ExperimentState | None = None
) -> Page[Experiment]:
    """Of one state, or all."""
    rows = await store.page(session, after_id(paging), paging.limit + 1, state)
    return page_of([service.view(row) for row in rows], paging.limit)


@router.get("/{experiment_id}", summary="Read an experiment", responses=_ONE)
async def read_experiment(experiment_id: UUID, session: Session) -> Experiment:
    """Its plan, how many people it needs, and how it ended."""
    return service.view(await service.get(session, experiment_id))


@router.put("/{experiment_id}", summary="Replace the plan of a draft", responses=_CHANGE)
async def replace_experiment(
    experiment_id: UUID, body: ExperimentCreate, session: Session
) -> Experiment:
    """Once an experiment was started its plan stays: plan another one instead."""
    return await service.replace(session, experiment_id, body)


@router.post("/{experiment_id}/start", summary="Start an experiment", responses=_CHANGE)
async def start_experiment(experiment_id: UUID, request: Request, session: Session) -> Experiment:
    """From now on its nodes divide people. Variants, weights and metrics are fixed."""
    now = request.state.workers.engine.clock()
    return await service.start(session, experiment_id, now)


@router.get("/{experiment_id}/results", summary="Read the results so far", responses=_CHANGE)
async def read_results(
    experiment_id: UUID, request: Request, session: Session
) -> ExperimentResults:
    """Look as often as you like: the intervals stay right. Everybody who was shown a variant
    counts, with the goals reached within the metric's window after that."""
    row = await service.get(session, experiment_id)
    return await results.read(session, row, request.state.workers.engine.clock())


@router.post(
    "/{experiment_id}/stop",
    summary="End an experiment",
    responses=problem_responses(ExperimentNotFound, ExperimentStateConflict, SampleRatioMismatch),
)
async def stop_experiment(
    experiment_id: UUID,
    body: ExperimentStop,
    request: Request,
    caller: UserCaller,
    session: Session,
) -> Experiment:
    """With a decision: from now on its nodes send everybody to one variant, those too who were
    shown another. Goals reached later, within the metric's window, still count."""
    now = request.state.workers.engine.clock()
    return await service.stop(session, experiment_id, body, caller.subject, now)
