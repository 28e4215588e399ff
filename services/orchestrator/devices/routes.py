"""Devices over HTTP: front ends say where a person can be reached by push."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.http import ServiceClient
from services.kit.ids import uuid7
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.devices import store
from services.orchestrator.devices.model import Device, DevicePut
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.errors import DeviceNotFound
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/devices",
    tags=["devices"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)


@router.put("", summary="Say that a person uses a device")
async def put_device(body: DevicePut, request: Request, caller: UserCaller) -> Device:
    """Say it at each start of the app: pushes go to the device seen last. A token that somebody
    else had goes over to this person."""
    profile: ServiceClient = request.state.profile
    canonical = await _canonical(profile, caller.workspace_id, body.profile_id)
    values: dict[str, Any] = {
        "id": uuid7(),
        "workspace_id": caller.workspace_id,
        "profile_id": canonical,
        "kind": body.kind,
        "app": body.app,
        "token": body.token,
        "keys": None,
    }
    if body.subscription is not None:
        values["token"] = str(body.subscription.endpoint)
        values["keys"] = body.subscription.keys.model_dump()
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        return await store.put(session, values)


@router.get("", summary="List devices, newest first")
async def list_devices(
    session: Session, paging: PagingParams, profile_id: Annotated[UUID | None, Query()] = None
) -> Page[Device]:
    """Of one person, or of all; without their tokens."""
    found = await store.page(session, after_id(paging), paging.limit + 1, profile_id)
    return page_of(found, paging.limit)


@router.delete(
    "/{device_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Forget a device",
    responses=problem_responses(DeviceNotFound),
)
async def delete_device(device_id: UUID, session: Session) -> Response:
    """When a person signs out: what is still queued for the device is not sent."""
    if not await store.remove(session, device_id):
        raise DeviceNotFound(f"Device {device_id} does not exist.")
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def _canonical(profile: ServiceClient, workspace_id: UUID, profile_id: UUID) -> UUID:
    """The id that the person has after merges."""
    known = (await facts_of(profile, workspace_id, [profile_id]))[profile_id]
    if not known.exists:
        raise InvalidRequest.at("#/profile_id", "There is no such profile.")
    return known.profile_id
