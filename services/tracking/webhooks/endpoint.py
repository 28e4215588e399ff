"""The door for partners' webhooks: ``POST /v1/webhooks``, raw bytes of any content type."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.kit.auth import Forbidden, Unauthenticated
from services.kit.problems import (
    BodyTooLarge,
    MalformedBody,
    Problem,
    Unavailable,
    problem_responses,
    refusal,
)
from services.tracking import metrics
from services.tracking.errors import InvalidSignature
from services.tracking.ingest import accept, body
from services.tracking.ingest.routes import writer
from services.tracking.log.port import LogAppender
from services.tracking.webhooks import calls, signature
from services.tracking.webhooks.cache import Webhook
from services.tracking.webhooks.calls import Mapped
from services.tracking.webhooks.openapi import path_item

PATH = "/v1/webhooks"
_SUCCESS = b'{"success": true}'


class WebhookIngestion:
    """The ASGI endpoint. The lifespan's state holds ``appender``, ``plans`` and ``webhooks``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            await _accept(request)
            response = Response(_SUCCESS, media_type="application/json")
        except Problem as problem:
            response = refusal(request, problem)
        await response(scope, receive, send)


async def _accept(request: Request) -> None:
    caller = writer(request)
    workspace_id, source_id = caller.workspace_id, caller.source_id or "api"
    raw = await body.read(request)
    sender = accept.Request(
        workspace_id,
        source_id,
        request.state.now_ms(),
        request_id=structlog.contextvars.get_contextvars().get("request_id", ""),
        plan=await request.state.plans.of(workspace_id, source_id),
    )
    webhook: Webhook | None = await request.state.webhooks.of(workspace_id, source_id)
    found = _mapped(webhook, raw, dict(request.headers), sender.received_at)
    metrics.SKIPPED_ITEMS.inc(found.skipped)
    # A bad item is in quarantine; partners switch an endpoint off that answers with errors.
    append, _ = accept.accept_calls(found.calls, sender, calls.PROTOCOL)
    if append.count or append.quarantined:
        appender: LogAppender = request.state.appender
        await appender.append(append)


def _mapped(webhook: Webhook | None, raw: bytes, headers: dict[str, str], now_ms: int) -> Mapped:
    if webhook is None:
        return Mapped(calls.unmapped(body.inflate(raw), calls.delivered(headers, "")))
    try:
        # Over the bytes as they came: packed, if they were packed.
        signature.verify(webhook.signature, webhook.secrets, headers, raw, now_ms)
    except signature.NotSigned as error:
        raise InvalidSignature(str(error)) from error
    delivery = calls.delivered(headers, signature.delivery_id(webhook.signature, headers))
    return calls.mapped(webhook.mapping, body.inflate(raw), delivery)


def install(app: FastAPI) -> None:
    """Adds the path in front of all others, and its documentation."""
    endpoint = WebhookIngestion()
    app.router.routes[:0] = [Route(path, endpoint, methods=["POST"]) for path in (PATH, f"{PATH}/")]
    problems = (
        *(MalformedBody, Unauthenticated, InvalidSignature, Forbidden),
        *(BodyTooLarge, Unavailable),
    )
    document = app.openapi

    def openapi() -> dict[str, Any]:
        whole = document()
        responses = problem_responses(*problems)
        whole["paths"] = {f"{PATH}": path_item(responses)} | whole["paths"]
        return whole

    app.openapi = openapi  # type: ignore[method-assign]
