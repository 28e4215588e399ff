"""Ingestion over HTTP: the SDKs' own paths as one plain ASGI endpoint, and the outcomes door.

FastAPI's binding stays out of the SDK paths: bodies come with any content type, and it would double
the cost of a request. ``document`` puts the paths into the OpenAPI document all the same.
"""

import base64
from typing import Any

import msgspec
import structlog
import zstandard
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.contracts.events import Outcome
from services.kit import feeds
from services.kit.auth import Caller, Forbidden, ServiceCaller, Unauthenticated, authenticate
from services.kit.problems import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    Problem,
    Unavailable,
    problem_responses,
    refusal,
)
from services.kit.strict import StrictRoute
from services.tracking.errors import InvalidEvent, PlanViolated, UnknownCall
from services.tracking.ingest import accept, body, clock
from services.tracking.ingest.openapi import paths
from services.tracking.ingest.outcomes import check_outcome
from services.tracking.ingest.protocols.call import Sent
from services.tracking.ingest.protocols.registry import PROTOCOLS
from services.tracking.log.port import Append, LogAppender, outcomes_partition

log = structlog.get_logger(__name__)

BATCH = "batch"
CALLS = {
    "track": "track", "t": "track", "identify": "identify", "i": "identify",
    "page": "page", "p": "page", "screen": "screen", "s": "screen",
    "group": "group", "g": "group", "alias": "alias", "a": "alias",
    "batch": BATCH, "b": BATCH, "import": BATCH,
}  # fmt: skip
_OWN_NAMES = {name: name for name in PROTOCOLS}
_SUCCESS = b'{"success": true}'
_MAX_OUTCOMES_BYTES = 16 * 1024 * 1024


class Ingestion:
    """The ASGI endpoint of all SDK calls. The lifespan's state holds the ``appender``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await _accept(request)
            response = Response(_SUCCESS, media_type="application/json")
        except Problem as problem:
            response = refusal(request, problem)
        await response(scope, receive, send)


async def _accept(request: Request) -> None:
    name = request.path_params["call"]
    call = CALLS.get(name)
    if call is None and name not in PROTOCOLS:
        raise UnknownCall("Use track, identify, page, screen, group, alias or batch.")
    caller = writer(request)
    raw = body.inflate(await body.read(request))
    sender = accept.Request(
        workspace_id=caller.workspace_id,
        source_id=caller.source_id or "api",
        received_at=request.state.now_ms(),
        sent_at=clock.parse(request.headers.get("sentat")),
        # The gateway says where it found the key; a direct caller is a server.
        server_key=request.headers.get("x-key-place", "basic") == "basic",
        anonymous_id=_anonymous_id(request.headers.get("anonymousid")),
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        plan=await request.state.plans.of(caller.workspace_id, caller.source_id or "api"),
    )
    failure: Problem | None = None
    if call is None:
        sent = Sent(raw, request.headers, request.query_params, sender.received_at)
        append, failure = accept.accept_calls(PROTOCOLS[name](sent), sender, name)
    elif call == BATCH:
        append = accept.accept_batch(raw, sender)
    else:
        append, failure = accept.accept_event(raw, call, sender)
    await _append(request, append)
    if failure is not None:
        raise failure


def _anonymous_id(header: str | None) -> str:
    """RudderStack's clients say it in base64; what is none says nothing."""
    if not header:
        return ""
    try:
        return base64.b64decode(header, validate=True).decode()
    except ValueError:
        return ""


async def _append(request: Request, append: Append) -> None:
    if append.count or append.quarantined:
        appender: LogAppender = request.state.appender
        await appender.append(append)


def writer(request: Request) -> Caller:
    """Who sends events; ``Unauthenticated``, ``Forbidden``."""
    caller = authenticate(request)
    if not caller.scopes & {"ingest", "admin"}:
        raise Forbidden("This key may not send events.")
    return caller


class OutcomesAccepted(BaseModel):
    accepted: int = Field(description="Entries appended; repeated message ids are dropped later.")


internal_router = APIRouter(
    prefix="/internal/v1", tags=["internal"], route_class=StrictRoute, include_in_schema=False
)


@internal_router.post("/outcomes", responses=problem_responses(InvalidRequest, Unavailable))
async def append_outcomes(request: Request, caller: ServiceCaller) -> OutcomesAccepted:
    """Body: ``kit.feeds.pack`` of ``contracts.events.Outcome``; answered once durable."""
    data = await body.read(request, _MAX_OUTCOMES_BYTES)
    try:
        entries = feeds.unpack(data, Outcome)
    except (msgspec.MsgspecError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise InvalidRequest.at("#", f"Not a packed list of outcomes: {error}") from error
    for index, outcome in enumerate(entries):
        check_outcome(outcome, f"#/{index}")
    workspace_id, count = caller.workspace_id, len(entries)
    await _append(request, Append(workspace_id, outcomes_partition(workspace_id), count, data))
    return OutcomesAccepted(accepted=count)


def install(app: FastAPI) -> None:
    """Adds the SDK paths, in front of all others, and their documentation."""
    endpoint = Ingestion()
    app.router.routes[:0] = [
        Route(path, endpoint, methods=["POST"]) for path in ("/v1/{call}", "/v1/{call}/")
    ]
    problems = (
        *(MalformedBody, InvalidEvent, PlanViolated, Unauthenticated, Forbidden),
        *(BodyTooLarge, Unavailable),
    )
    document = app.openapi

    def openapi() -> dict[str, Any]:
        whole = document()
        whole["paths"] = paths(CALLS | _OWN_NAMES, problem_responses(*problems)) | whole["paths"]
        return whole

    app.openapi = openapi  # type: ignore[method-assign]
