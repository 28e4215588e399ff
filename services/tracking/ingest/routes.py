"""Ingestion over HTTP: the door for outcomes, and the SDKs' paths put in front of everything."""

from typing import Any

import msgspec
import zstandard
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.routing import Route

from services.contracts.events import Outcome
from services.kit import feeds
from services.kit.app import ServiceApp
from services.kit.auth import Forbidden, ServiceCaller, Unauthenticated
from services.kit.problems import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    Unavailable,
    problem_responses,
)
from services.kit.strict import StrictRoute
from services.tracking.errors import InvalidEvent, PlanViolated, UnknownCall
from services.tracking.ingest import body
from services.tracking.ingest.door import Door
from services.tracking.ingest.endpoint import CALLS, Ingestion
from services.tracking.ingest.openapi import paths
from services.tracking.ingest.outcomes import check_outcome
from services.tracking.ingest.protocols.registry import PROTOCOLS
from services.tracking.log.port import Append, LogAppender, outcomes_partition

_MAX_OUTCOMES_BYTES = 16 * 1024 * 1024


class OutcomesAccepted(BaseModel):
    accepted: int = Field(description="Entries appended; repeated message ids are dropped later.")


internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.post("/outcomes", responses=problem_responses(InvalidRequest, Unavailable))
async def append_outcomes(request: Request, caller: ServiceCaller) -> OutcomesAccepted:
    """Body: ``kit.feeds.pack`` of ``contracts.events.Outcome``; answered once durable."""
    data = await body.read(request.receive, _MAX_OUTCOMES_BYTES)
    try:
        entries = feeds.unpack(data, Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise InvalidRequest.at("#", f"Not a packed list of outcomes: {error}") from error
    for index, outcome in enumerate(entries):
        check_outcome(outcome, f"#/{index}")
    workspace_id, count = caller.workspace_id, len(entries)
    if count:
        appender: LogAppender = request.state.appender
        await appender.append(Append(workspace_id, outcomes_partition(workspace_id), count, data))
    return OutcomesAccepted(accepted=count)


async def _unknown(_: Request) -> bytes:
    raise UnknownCall("Use track, identify, page, screen, group, alias or batch.")


def install(app: ServiceApp) -> None:
    """Adds the SDK paths, in front of all others, and their documentation."""
    app.put_in_front(lambda inner: Ingestion(inner, app.state.token_verifier))
    app.router.routes.append(Route("/v1/{call:path}", Door(_unknown), methods=["POST"]))
    problems = (
        *(MalformedBody, InvalidEvent, PlanViolated, Unauthenticated, Forbidden),
        *(BodyTooLarge, Unavailable),
    )
    document = app.openapi

    def openapi() -> dict[str, Any]:
        whole = document()
        whole["paths"] = (
            paths(CALLS | {name: name for name in PROTOCOLS}, problem_responses(*problems))
            | whole["paths"]
        )
        return whole

    app.openapi = openapi  # type: ignore[method-assign]
