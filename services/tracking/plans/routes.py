"""Tracking plans over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid5

from fastapi import APIRouter, Depends, Header, Path

from services.kit.auth import UserCaller
from services.kit.ids import uuid7
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.tracking.errors import TrackingPlanNameTaken, TrackingPlanNotFound
from services.tracking.plans import service, store
from services.tracking.plans.model import (
    Activation,
    PlanDocument,
    PlanSource,
    PlanVersion,
    PlanVersionSummary,
    TrackingPlan,
    TrackingPlanCreate,
    TrackingPlanSummary,
)
from services.tracking.plans.store import StoredPlan
from services.tracking.sources import store as sources
from services.tracking.sources.store import Setting

router = APIRouter(
    prefix="/api/v1/tracking-plans",
    tags=["tracking plans"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)
_absent = problem_responses(TrackingPlanNotFound)
SourcePath = Annotated[
    str,
    Path(max_length=255, pattern=r"^[^\x00]+$", description="`id` of `/api/v1/sources`."),
]


def _new_id(
    caller: UserCaller,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            description="Repeat a call with the same key and it creates nothing new.",
        ),
    ] = None,
) -> UUID:
    if idempotency_key is None:
        return uuid7()
    return uuid5(caller.workspace_id, f"tracking-plans {idempotency_key}")


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create a tracking plan",
    responses=problem_responses(TrackingPlanNameTaken),
)
async def create_tracking_plan(
    body: TrackingPlanCreate,
    caller: UserCaller,
    session: Session,
    plan_id: Annotated[UUID, Depends(_new_id)],
) -> TrackingPlan:
    """The plan and its version 1. Then activate it for a source, at first in the mode `observe`."""
    await service.create(
        session, caller.workspace_id, plan_id, body.name, body.description, body.document
    )
    return await _whole(session, plan_id)


@router.get("", summary="List tracking plans, oldest first")
async def list_tracking_plans(
    caller: UserCaller, session: Session, paging: PagingParams
) -> Page[TrackingPlanSummary]:
    key = paging.after(str)
    try:
        after = None if key is None else UUID(str(key[0]))
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from error
    found = await store.page(session, after, paging.limit + 1)
    shown = found[: paging.limit]
    cursor = encode_cursor(str(shown[-1].id)) if len(found) > paging.limit else None
    return Page(items=[TrackingPlanSummary(**_summary(plan)) for plan in shown], next_cursor=cursor)


@router.get("/{plan_id}", summary="Read a tracking plan", responses=_absent)
async def read_tracking_plan(plan_id: UUID, caller: UserCaller, session: Session) -> TrackingPlan:
    return await _whole(session, plan_id)


@router.post(
    "/{plan_id}/versions",
    status_code=HTTPStatus.CREATED,
    summary="Add a version to a tracking plan",
    responses=_absent,
)
async def add_plan_version(
    plan_id: UUID, body: PlanDocument, caller: UserCaller, session: Session
) -> PlanVersion:
    """Sources stay on the version they run until they are activated anew."""
    version = await service.add_version(session, caller.workspace_id, plan_id, body)
    return PlanVersion(plan_id=plan_id, version=version, document=body)


@router.get("/{plan_id}/versions/{version}", summary="Read a version of a plan", responses=_absent)
async def read_plan_version(
    plan_id: UUID,
    version: Annotated[int, Path(ge=1, lt=2**31)],
    caller: UserCaller,
    session: Session,
) -> PlanVersion:
    document = await store.document(session, plan_id, version)
    if document is None:
        raise TrackingPlanNotFound(f"No version {version} of a tracking plan {plan_id}.")
    return PlanVersion(
        plan_id=plan_id, version=version, document=PlanDocument.model_validate(document)
    )


@router.put(
    "/{plan_id}/sources/{source_id}", summary="Activate a plan for a source", responses=_absent
)
async def activate_plan(
    plan_id: UUID, source_id: SourcePath, body: Activation, caller: UserCaller, session: Session
) -> PlanSource:
    """In force within 5 seconds, for what arrives then. It takes the place of the plan or version
    that the source ran before. What was found is noted in each event under `context.protocols`:
    `plan`, `version`, `violations`, `omitted` and `omitted_on_violation`.
    """
    done = await service.activate(session, caller.workspace_id, plan_id, source_id, body)
    return _sources([done])[0]


@router.delete(
    "/{plan_id}/sources/{source_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Deactivate a plan for a source",
    responses=_absent,
)
async def deactivate_plan(
    plan_id: UUID, source_id: SourcePath, caller: UserCaller, session: Session
) -> None:
    """Its events are no longer held to any plan. Nothing happens where it runs another one."""
    await service.deactivate(session, caller.workspace_id, plan_id, source_id)


async def _whole(session: Session, plan_id: UUID) -> TrackingPlan:
    plan = await store.find(session, plan_id)
    if plan is None:
        raise TrackingPlanNotFound(f"No tracking plan {plan_id}.")
    return TrackingPlan(
        **_summary(plan),
        document=await store.document(session, plan_id, plan.latest_version),
        versions=[
            PlanVersionSummary(version=version, created_at=at)
            for version, at in await store.versions(session, plan_id)
        ],
        sources=_sources(await sources.settings(session, plan_id)),
    )


def _summary(plan: StoredPlan) -> dict[str, object]:
    return {
        "id": plan.id,
        "name": plan.name,
        "description": plan.description,
        "latest_version": plan.latest_version,
        "created_at": plan.created_at,
    }


def _sources(settings: list[Setting]) -> list[PlanSource]:
    return [
        PlanSource(
            source_id=s.source_id,
            channel=s.channel,
            plan_id=s.plan_id,
            version=s.version,
            mode=s.mode,
            changed_at=s.changed_at,
        )
        for s in settings
        if s.plan_id is not None and s.version is not None and s.mode is not None
    ]
