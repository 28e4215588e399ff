"""Erasures over HTTP, for profile, which owns what a person is and shows people the certificate."""

from datetime import UTC, datetime
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request

from services.contracts.erasure import PersonErasure, ServiceErasure, SubjectsLift
from services.kit.auth import ServiceCaller
from services.kit.postgres import workspace_tx
from services.kit.strict import StrictRoute
from services.tracking.erasure import service, store, suppression
from services.tracking.errors import ErasureNotFound
from services.tracking.tables import ErasureRow

internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.post("/erasures", status_code=HTTPStatus.ACCEPTED)
async def erase_person(
    body: PersonErasure, request: Request, caller: ServiceCaller
) -> ServiceErasure:
    """Events of the person are dropped from now on, those that come late or are imported again
    too; queries stop showing what there is within a minute, and the bytes leave the files of
    ClickHouse and PostgreSQL within a day. Asking again while it runs answers with the same.
    """
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        row = await service.begin(
            session,
            request.state.seal,
            caller.workspace_id,
            body.profile_id,
            datetime.now(UTC),
            subjects=body.subject_ids,
            since=body.since,
        )
    request.state.erase.ring()
    return _shown(row)


@internal_router.get("/erasures/{erasure_id}")
async def read_erasure(erasure_id: UUID, request: Request, caller: ServiceCaller) -> ServiceErasure:
    """Finished, it is the certificate of the event stores."""
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        row = await store.find(session, caller.workspace_id, erasure_id)
    if row is None:
        raise ErasureNotFound(f"There is no erasure {erasure_id}.")
    return _shown(row)


@internal_router.post("/suppressions/lift")
async def lift_suppressions(
    body: SubjectsLift, request: Request, caller: ServiceCaller
) -> dict[str, int]:
    """What happens from now on is taken again; what happened before stays dropped for ever."""
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        lifted = await suppression.lift(
            session, request.state.seal, caller.workspace_id, body.subject_ids, datetime.now(UTC)
        )
    return {"lifted": lifted}


def _shown(row: ErasureRow) -> ServiceErasure:
    return ServiceErasure.model_validate(row, from_attributes=True)
