"""Tracking's evidence for the maturity assessment."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request

from services.contracts.evidence import Evidence
from services.kit.auth import ServiceCaller
from services.kit.strict import StrictRoute
from services.tracking.evidence import service

internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.get("/evidence")
async def read_evidence(request: Request, caller: ServiceCaller) -> Evidence:
    return await service.gather(
        request.state.sessionmaker,
        request.state.clickhouse,
        caller.workspace_id,
        datetime.now(UTC),
    )
