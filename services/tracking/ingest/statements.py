"""What people say through the API of another service, as events in the log like any other."""

from fastapi import APIRouter, Request

from services.contracts.tracking import StatementsAccepted
from services.kit.auth import ServiceCaller
from services.kit.problems import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    Unavailable,
    problem_responses,
)
from services.kit.strict import StrictRoute
from services.tracking.errors import InvalidEvent
from services.tracking.ingest import accept, body
from services.tracking.ingest.convert import Origin
from services.tracking.log.port import Log, LogAppender

SOURCE = "api"
"""The source of statements. No write key gives it, only secret keys and services do: readers may
believe what a browser could not be believed."""

internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.post(
    "/statements",
    responses=problem_responses(
        MalformedBody, InvalidRequest, InvalidEvent, BodyTooLarge, Unavailable
    ),
)
async def append_statements(request: Request, caller: ServiceCaller) -> StatementsAccepted:
    """Body: a batch as the SDKs send it. All of its events are appended, or none: what is refused
    is an error of the caller's and goes into no quarantine. Tracking plans do not apply."""
    raw = await body.read(request.receive)
    origin = Origin(caller.workspace_id, SOURCE, request.state.now_ms())
    append = accept.accept_batch(raw, origin)
    for refused in append.quarantined:
        raise InvalidRequest.at(refused.pointer, refused.detail)
    if append.count:
        appender: LogAppender = request.state.appender
        await appender.append(append)
    log: Log = request.state.log
    offset = (await log.ends(caller.workspace_id)).get(append.partition, 0)
    return StatementsAccepted(accepted=append.count, offset=offset)
