"""Profile's evidence for the maturity assessment."""

from fastapi import APIRouter, Request

from services.contracts.evidence import Evidence
from services.kit.auth import ServiceCaller
from services.kit.postgres import Session
from services.kit.strict import StrictRoute
from services.profile.evidence import service

internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.get("/evidence")
async def read_evidence(session: Session, request: Request, caller: ServiceCaller) -> Evidence:
    return await service.gather(session, caller.workspace_id, request.state.clock.now())
