"""Erasure and export of one person over HTTP, for profile."""

from typing import Any

from fastapi import APIRouter, Request

from services.contracts.erasure import Compacted, PersonExport, PersonRemoval, Removed
from services.kit.auth import ServiceCaller
from services.kit.postgres import workspace_tx
from services.kit.strict import StrictRoute
from services.orchestrator.erasure import service, store
from services.orchestrator.erasure.store import Person

router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@router.post("/erase")
async def erase(body: PersonRemoval, request: Request, caller: ServiceCaller) -> Removed:
    person = Person(caller.workspace_id, body.profile_ids, body.contacts)
    return await service.erase(request.state.sessionmaker, person, body)


@router.post("/compact")
async def compact(request: Request, _: ServiceCaller) -> Compacted:
    return await service.compact(request.state.sessionmaker)


@router.post("/export")
async def export(
    body: PersonExport, request: Request, caller: ServiceCaller
) -> dict[str, list[dict[str, Any]]]:
    person = Person(caller.workspace_id, body.profile_ids, body.contacts)
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        return await store.rows(session, person)
