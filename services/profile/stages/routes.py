"""Stages over HTTP: models with their counts for people, publishing for the other services."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from pydantic import BaseModel, Field

from services.contracts.profile import StageModel, StageModelStatus
from services.kit.auth import ServiceCaller, UserCaller
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.errors import ProfileNotFound, StageModelNotFound
from services.profile.profiles.service import canonical
from services.profile.rules import registry
from services.profile.stages import store
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1",
    tags=["stages"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)
internal_router = APIRouter(
    prefix="/internal/v1/stage-models",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)

LAST = UUID(int=2**128 - 1)


class Stage(BaseModel):
    id: str
    profiles: int = Field(description="People in the stage now.")
    stalled: int = Field(description="Of them, those who have stayed for too long.")
    stalls_after_seconds: int | None = Field(description="How long too long is; null: never.")
    entry: dict[str, Any] = Field(description="The rule of who may be in it.")


class StageModelView(BaseModel):
    """Exclusive stages: of those whose entry rule holds for a person, the last one wins."""

    id: UUID
    name: str
    status: Literal["backfilling", "ready"] = Field(
        description="`backfilling` until everybody has been looked at once."
    )
    stages: list[Stage] = Field(description="First to last.")
    published_at: datetime


class StageModels(BaseModel):
    items: list[StageModelView] = Field(description="The first published first.")


class CurrentStage(BaseModel):
    model_id: UUID
    stage_id: str
    since: datetime
    stalled: bool = Field(description="Whether it has been there for too long.")


class StageChange(BaseModel):
    model_id: UUID
    from_stage: str | None = Field(description="Null: was in none.")
    to_stage: str | None = Field(description="Null: left for none.")
    at: datetime


class ProfileStages(Page[StageChange]):
    """History, the latest first; ``current`` is where the person is now in each model."""

    current: list[CurrentStage]


@router.get("/stages", summary="List stage models with the people in each stage")
async def list_stages(session: Session, caller: UserCaller) -> StageModels:
    """Maps publish stage models; people move between stages as events arrive."""
    found = await store.models(session, caller.workspace_id)
    return StageModels(items=[_model(each) for each in found])


@router.get(
    "/profiles/{profile_id}/stages",
    summary="Stages of a person, now and before",
    responses=problem_responses(ProfileNotFound),
)
async def read_profile_stages(
    profile_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> ProfileStages:
    living = await canonical(session, caller.workspace_id, profile_id)
    key = paging.after(str)
    try:
        before = LAST if key is None else UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
    found = await store.history(session, caller.workspace_id, living, before, paging.limit + 1)
    shown = found[: paging.limit]
    now = await store.current(session, caller.workspace_id, living)
    return ProfileStages(
        items=[
            StageChange(model_id=c.model_id, from_stage=c.from_stage, to_stage=c.to_stage, at=c.at)
            for c in shown
        ],
        next_cursor=encode_cursor(str(shown[-1].change_id)) if len(found) > paging.limit else None,
        current=[CurrentStage(model_id=m, stage_id=s, since=t, stalled=x) for m, s, t, x in now],
    )


@internal_router.put("/{model_id}")
async def publish_stage_model(
    model_id: UUID,
    body: StageModel,
    session: Session,
    caller: ServiceCaller,
    request: Request,
    after: BackgroundTasks,
) -> StageModelStatus:
    if len({stage.id for stage in body.stages}) < len(body.stages):
        raise InvalidRequest.at("#/stages", "Every stage needs an id of its own.")
    definition = body.model_dump(mode="json", by_alias=True, exclude_none=True)
    await registry.publish_model(session, caller.workspace_id, model_id, definition)
    after.add_task(request.state.bell.ring, rules_bell(caller.workspace_id))
    return StageModelStatus(model_id=model_id, state="backfilling")


@internal_router.get("/{model_id}")
async def read_stage_model(
    model_id: UUID, session: Session, caller: ServiceCaller
) -> StageModelStatus:
    for model in await store.models(session, caller.workspace_id):
        if model.model_id == model_id:
            return StageModelStatus(model_id=model_id, state=_status(model.state))
    raise _not_found(model_id)


@internal_router.delete("/{model_id}", status_code=HTTPStatus.NO_CONTENT)
async def withdraw_stage_model(model_id: UUID, session: Session, caller: ServiceCaller) -> None:
    if not await registry.withdraw_model(session, caller.workspace_id, model_id):
        raise _not_found(model_id)


def _model(stored: store.StoredModel) -> StageModelView:
    return StageModelView(
        id=stored.model_id,
        name=stored.definition["name"],
        status=_status(stored.state),
        stages=[
            _stage(each, *stored.counts.get(each["id"], (0, 0)))
            for each in stored.definition["stages"]
        ],
        published_at=stored.published_at,
    )


def _stage(definition: dict[str, Any], profiles: int, stalled: int) -> Stage:
    return Stage(
        id=definition["id"],
        profiles=profiles,
        stalled=stalled,
        stalls_after_seconds=definition.get("stalls_after_seconds"),
        entry=definition["entry"],
    )


def _status(state: str) -> Literal["backfilling", "ready"]:
    return "ready" if state == "ready" else "backfilling"


def _not_found(model_id: UUID) -> StageModelNotFound:
    return StageModelNotFound(f"Stage model {model_id} is not published.", model_id=str(model_id))
