"""HTTP of readiness, for people and for the service that publishes journeys."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.assessment.readiness import service, store
from services.contracts.assessment import Readiness, ReadinessMode
from services.kit.auth import Forbidden, ServiceCaller, Unauthenticated, UserCaller
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, MalformedBody, problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(
    tags=["readiness"],
    route_class=StrictRoute,
    responses=problem_responses(Unauthenticated, Forbidden),
)


class ReadinessModePut(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"mode": "enforce", "reason": "Board decision of May"}]},
    )

    mode: ReadinessMode = Field(
        description="What happens when a journey that uses more than two distinct channels is "
        "published too early. `warn` (default): below level 3 it is published with a warning. "
        "`enforce`: it is refused until readiness is full. `off`: nothing."
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] | None = Field(
        default=None, description="Why; kept with who set it and when."
    )


@router.get("/api/v1/readiness", summary="Read how ready the organization is, and why")
async def read_readiness(caller: UserCaller, session: Session) -> Readiness:
    """Is the organization ready to orchestrate over many channels, and what is missing?

    It follows the newest company-wide assessment whose answers yield a level.
    """
    return await service.read(session, caller.workspace_id)


@router.put(
    "/api/v1/readiness/mode",
    summary="Choose what readiness does when journeys are published",
    responses=problem_responses(InvalidRequest, MalformedBody),
)
async def set_readiness_mode(
    body: ReadinessModePut, caller: UserCaller, session: Session
) -> Readiness:
    """For the whole workspace, from the next publishing on."""
    await store.set_mode(
        session, caller.workspace_id, body.mode, body.reason, caller.subject, datetime.now(UTC)
    )
    return await service.read(session, caller.workspace_id)


@router.get("/internal/v1/readiness")
async def read_readiness_as_service(caller: ServiceCaller, session: Session) -> Readiness:
    """The same answer for a service whose token names the workspace."""
    return await service.read(session, caller.workspace_id)
