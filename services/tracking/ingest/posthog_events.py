"""PostHog's newer door, ``POST /i/v1/analytics/events``: an answer for each event."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from starlette.routing import Route

from services.kit.auth import Forbidden, Unauthenticated
from services.kit.problems import BodyTooLarge, MalformedBody, Unavailable, problem_responses
from services.tracking.errors import InvalidEvent
from services.tracking.ingest import accept, body, door
from services.tracking.ingest.protocols import posthog
from services.tracking.ingest.protocols.call import Calls, Sent
from services.tracking.ingest.wire import lenient
from services.tracking.log.port import Quarantined

PATH = "/i/v1/analytics/events"
PROTOCOL = "posthog-events"
# Set aside by a tracking plan that does not tell senders.
_QUIET = "plan_violation"


async def take(request: Request) -> bytes:
    """Its clients send ``retry`` events again, report ``drop`` to the program, take the rest as
    done. What is in quarantine is ``drop``: sent again it would be no better."""
    origin, plan = await door.sender(request, request.headers.get("posthog-request-timestamp"))
    raw = body.inflate(await body.read(request.receive))
    found = posthog.events(Sent(raw, request.headers, received_at=origin.received_at))
    append, _ = accept.accept_calls(found, origin, plan, PROTOCOL)
    await door.append(request, append)
    return msgspec.json.encode({"results": results(found, list(append.quarantined))})


def results(found: Calls, refused: list[Quarantined]) -> dict[str, dict[str, str]]:
    """By the event's ``uuid``; of events without one nothing can be said."""
    told = {uuid: {"result": "ok"} for call in found.calls for uuid in _uuids(call.raw)}
    for row in refused:
        result = "warning" if row.reason == _QUIET else "drop"
        for uuid in _uuids(row.raw):
            told[uuid] = {"result": result, "details": f"{row.reason}: {row.detail}"}
    return told


def _uuids(raw: bytes) -> list[str]:
    value = lenient(raw)
    events = value if isinstance(value, list) else [value]
    uuids = [event.get("uuid") for event in events if isinstance(event, dict)]
    return [uuid for uuid in uuids if isinstance(uuid, str)]


def install(app: FastAPI) -> None:
    """Adds the path, and its documentation."""
    endpoint = door.Door(take)
    app.router.routes[:0] = [Route(path, endpoint, methods=["POST"]) for path in (PATH, f"{PATH}/")]
    problems = (
        *(MalformedBody, InvalidEvent, Unauthenticated, Forbidden),
        *(BodyTooLarge, Unavailable),
    )
    document = app.openapi

    def openapi() -> dict[str, Any]:
        whole = document()
        whole["paths"] = {PATH: _path_item(problem_responses(*problems))} | whole["paths"]
        return whole

    app.openapi = openapi  # type: ignore[method-assign]


def _path_item(problems: dict[int | str, dict[str, Any]]) -> dict[str, Any]:
    result = {
        "type": "object",
        "required": ["result"],
        "properties": {
            "result": {"enum": ["ok", "warning", "drop"]},
            "details": {"type": "string"},
        },
    }
    uuid = "0195d3a0-0000-7000-8000-000000000001"
    answer = {
        "schema": {
            "type": "object",
            "properties": {"results": {"type": "object", "additionalProperties": result}},
        },
        "example": {"results": {uuid: {"result": "ok"}}},
    }
    event = {
        "event": "Order Completed",
        "uuid": uuid,
        "distinct_id": "u-42",
        "timestamp": "2026-11-25T08:30:00Z",
        "options": {},
        "properties": {"total": 99.5},
    }
    example = {"created_at": "2026-11-25T08:30:01Z", "batch": [event]}
    operation = {
        "tags": ["ingestion"],
        "summary": "Send what PostHog's clients send to their newer path",
        "description": "The key is the bearer token. Each event gets an answer under its `uuid`: "
        "`ok`, `warning` (set aside by a tracking plan) or `drop` (in quarantine with its reason).",
        "operationId": "ingest_posthog_events",
        "requestBody": {
            "required": True,
            "description": "JSON, plain or packed by gzip, deflate (zlib) or zstd.",
            "content": {"application/json": {"schema": {"type": "object"}, "example": example}},
        },
        "responses": {
            "200": {"description": "Durable.", "content": {"application/json": answer}},
            **{str(status): problem for status, problem in problems.items()},
        },
    }
    return {"post": operation}
