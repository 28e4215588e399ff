"""The door for partners' webhooks: ``POST /v1/webhooks``, raw bytes of any content type."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from starlette.routing import Route

from services.kit.auth import Forbidden, Unauthenticated
from services.kit.problems import (
    BodyTooLarge,
    MalformedBody,
    Unavailable,
    problem_responses,
)
from services.tracking import metrics
from services.tracking.errors import InvalidSignature
from services.tracking.ingest import accept, body, door
from services.tracking.ingest.endpoint import SUCCESS
from services.tracking.webhooks import calls, signature
from services.tracking.webhooks.cache import Webhook
from services.tracking.webhooks.calls import Mapped
from services.tracking.webhooks.openapi import path_item

PATH = "/v1/webhooks"


async def take(request: Request) -> bytes:
    """The lifespan's state also holds ``webhooks``."""
    origin, plan = await door.sender(request)
    raw = await body.read(request.receive)
    webhook: Webhook | None = await request.state.webhooks.of(origin.workspace_id, origin.source_id)
    # A large body and a large mapping are seconds of work: others' events do not wait for it.
    found = await asyncio.to_thread(
        _mapped, webhook, raw, dict(request.headers), origin.received_at
    )
    metrics.SKIPPED_ITEMS.inc(found.skipped)
    # A bad item is in quarantine; partners switch an endpoint off that answers with errors.
    append, _ = accept.accept_calls(found.calls, origin, plan, calls.PROTOCOL)
    await door.append(request, append)
    return SUCCESS


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
    endpoint = door.Door(take)
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
