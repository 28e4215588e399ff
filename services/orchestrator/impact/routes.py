"""What journeys did with the people of a merge, for profile's impact ledger."""

from fastapi import APIRouter

from services.contracts.orchestrator import Impact, ImpactRequest
from services.kit.auth import ServiceCaller
from services.kit.postgres import Session
from services.kit.strict import StrictRoute
from services.orchestrator.impact import store

router = APIRouter(
    prefix="/internal/v1/impact",
    tags=["internal"],
    route_class=StrictRoute,
    include_in_schema=False,
)


@router.post("")
async def read_impact(body: ImpactRequest, session: Session, caller: ServiceCaller) -> Impact:
    return Impact(
        journeys=await store.journeys(session, caller.workspace_id, body.profile_ids),
        messages=await store.messages(session, caller.workspace_id, body.profile_ids),
    )
