"""Clusterings and the RFM matrix over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from services.kit.auth import UserCaller
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import (
    ClusterNotReady,
    PredictionInUse,
    PredictionNameTaken,
    PredictionNotFound,
    SegmentNameTaken,
)
from services.profile.predictions import service, store, views
from services.profile.predictions.model import NAME_PATTERN, ClusteringCreate
from services.profile.predictions.rfm_cells import MATRIX
from services.profile.predictions.routes import after, cursor
from services.profile.predictions.runner import predictions_bell
from services.profile.predictions.views import Clustering, Text
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1",
    tags=["clusterings"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

NAMES = {cell.key: Text(en=cell.en, zh=cell.zh) for row in MATRIX for cell in row}


class ClusterAccept(BaseModel):
    """Which cluster becomes a segment, and by what."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"cluster": 1, "name": "Evening regulars", "by": "rule"}]},
    )

    cluster: int = Field(ge=1, description="Its number.")
    name: str = Field(min_length=1, max_length=200, pattern=r"\S")
    description: str = Field("", max_length=2000)
    by: Literal["rule", "people"] = Field(
        "rule",
        description="`rule`: the simple rule, which people enter and leave from now on; `people`: "
        "exactly those who were put into the cluster.",
    )


class NewSegment(BaseModel):
    id: UUID
    name: str
    rule: dict[str, Any]


class RfmCell(BaseModel):
    """People with one pair of scores."""

    recency: int = Field(description="1 (bought long ago) to 5 (bought lately).")
    frequency: int = Field(description="1 (bought once or seldom) to 5 (most often).")
    cell: str = Field(description="Key of the cell: what `computed.<name>` is.")
    name: Text
    people: int
    value: float = Field(description="Money of all their purchases.")
    mean_days_since_purchase: float | None
    mean_purchases: float | None


class ValueTier(BaseModel):
    tier: Literal["high", "medium", "low"]
    people: int
    value: float
    value_share: float | None = Field(description="Of the money of all purchases.")


class RfmMatrix(BaseModel):
    prediction_id: UUID
    name: str
    as_of: datetime
    customers: int
    currency: str | None = Field(
        description="Of all `value`s; null where the prediction counts purchases of any currency."
    )
    cells: list[RfmCell] = Field(description="25: recency 1 to 5, in each frequency 1 to 5.")
    tiers: list[ValueTier] = Field(description="The fifth that spent most, 30 %, the other half.")


@router.post(
    "/clusterings",
    status_code=HTTPStatus.ACCEPTED,
    summary="Look for groups of people who are alike",
    responses=problem_responses(PredictionNameTaken),
)
async def create_clustering(
    body: ClusteringCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    then: BackgroundTasks,
) -> Clustering:
    """In the background; the clusters found are proposals for segments."""
    now = request.state.clock.now()
    made, run = await service.cluster(session, caller.workspace_id, body, now)
    then.add_task(request.state.bell.ring, predictions_bell(caller.workspace_id))
    return views.clustering(made, run)


@router.get("/clusterings", summary="List clusterings, oldest first")
async def list_clusterings(
    session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Clustering]:
    start, workspace_id = after(paging, UUID(int=0)), caller.workspace_id
    found = await store.page(session, workspace_id, [service.CLUSTERING], start, paging.limit + 1)
    shown = found[: paging.limit]
    last = await store.last_runs(session, workspace_id, [each.prediction_id for each in shown])
    return Page(
        items=[views.clustering(each, last.get(each.prediction_id)) for each in shown],
        next_cursor=cursor(shown[-1].prediction_id) if len(found) > paging.limit else None,
    )


@router.get(
    "/clusterings/{clustering_id}",
    summary="Read a clustering and its proposed segments",
    responses=problem_responses(PredictionNotFound),
)
async def read_clustering(clustering_id: UUID, session: Session, caller: UserCaller) -> Clustering:
    workspace_id = caller.workspace_id
    found = await service.read(session, workspace_id, clustering_id, clustering=True)
    last = await store.last_runs(session, workspace_id, [clustering_id])
    return views.clustering(found, last.get(clustering_id))


@router.delete(
    "/clusterings/{clustering_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a clustering",
    responses=problem_responses(PredictionNotFound, PredictionInUse),
)
async def delete_clustering(
    clustering_id: UUID,
    session: Session,
    caller: UserCaller,
    request: Request,
    then: BackgroundTasks,
) -> None:
    """Segments made of it by a rule stay; while one is made of its people it cannot be deleted."""
    workspace_id = caller.workspace_id
    found = await service.read(session, workspace_id, clustering_id, clustering=True)
    await service.delete(session, workspace_id, found, request.state.clock.now())
    then.add_task(request.state.bell.ring, predictions_bell(workspace_id))


@router.post(
    "/clusterings/{clustering_id}/segments",
    status_code=HTTPStatus.CREATED,
    summary="Make a segment of a proposed cluster",
    responses=problem_responses(PredictionNotFound, ClusterNotReady, SegmentNameTaken),
)
async def accept_cluster(
    clustering_id: UUID,
    body: ClusterAccept,
    session: Session,
    caller: UserCaller,
    request: Request,
    then: BackgroundTasks,
) -> NewSegment:
    workspace_id = caller.workspace_id
    found = await service.read(session, workspace_id, clustering_id, clustering=True)
    made = await service.accept(
        session,
        workspace_id,
        found,
        body.cluster,
        body.name,
        body.description,
        simple_rule=body.by == "rule",
        made_by=caller.subject,
    )
    then.add_task(request.state.bell.ring, rules_bell(workspace_id))
    return NewSegment(id=made.segment_id, name=made.name, rule=made.definition)


@router.get(
    "/rfm",
    summary="The RFM matrix: people and money by recency and frequency",
    responses=problem_responses(PredictionNotFound),
)
async def read_rfm(
    session: Session,
    caller: UserCaller,
    prediction: Annotated[
        str | None,
        Query(pattern=NAME_PATTERN, description="Name of one of kind `rfm`; the oldest, if none."),
    ] = None,
) -> RfmMatrix:
    """Of the last run that is done."""
    found, run = await service.last_rfm(session, caller.workspace_id, prediction)
    cells = [{**cell, "name": NAMES[cell["cell"]]} for cell in run.metrics["matrix"]]
    return RfmMatrix(
        prediction_id=found.prediction_id,
        name=found.name,
        as_of=run.as_of,
        customers=run.metrics["customers"],
        currency=found.currency,
        cells=[RfmCell.model_validate(cell) for cell in cells],
        tiers=[ValueTier.model_validate(tier) for tier in run.metrics["tiers"]],
    )
