"""The SDK paths as OpenAPI describes them; the plain ASGI endpoint cannot speak for itself."""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": ["string", "number", "null"]}
_OBJECT = {"type": ["object", "null"], "additionalProperties": True}
_TIME = {"type": ["string", "number", "null"], "description": "ISO 8601, or epoch (m)s."}

_COMMON: dict[str, Any] = {
    "messageId": _TEXT | {"description": "Idempotency key; 30 days per source."},
    "userId": _TEXT,
    "anonymousId": _TEXT | {"description": "This or userId is needed."},
    "timestamp": _TIME,
    "originalTimestamp": _TIME,
    "sentAt": _TIME,
    "context": _OBJECT,
}
_OWN: dict[str, dict[str, Any]] = {
    "track": {"event": {"type": "string", "examples": ["Order Completed"]}, "properties": _OBJECT},
    "identify": {"traits": _OBJECT},
    "page": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
    "screen": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
    "group": {"groupId": _TEXT, "traits": _OBJECT},
    "alias": {"previousId": _TEXT},
}
_PERSON = {"messageId": "0199f0c2-1", "userId": "u-42", "timestamp": "2026-03-01T09:30:00Z"}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "track": {**_PERSON, "event": "Order Completed", "properties": {"total": 99.5}},
    "identify": {**_PERSON, "traits": {"email": "mei@example.org", "plan": "pro"}},
    "page": {**_PERSON, "name": "Pricing", "properties": {"path": "/pricing"}},
    "screen": {**_PERSON, "name": "Basket"},
    "group": {**_PERSON, "groupId": "acme", "traits": {"industry": "Retail"}},
    "alias": {**_PERSON, "previousId": "anonymous-7"},
}
_EXAMPLES["batch"] = {
    "batch": [{"type": call, **_EXAMPLES[call]} for call in ("identify", "track")],
    "sentAt": "2026-03-01T09:30:01Z",
}
_SUMMARIES = {
    "track": "Record what a person did",
    "identify": "Tell who a person is",
    "page": "Record a page view",
    "screen": "Record a screen view",
    "group": "Put a person into an account",
    "alias": "Join two ids of a person",
    "batch": "Send many calls at once",
}
_ANSWER = {
    "description": "Durable. Bad events of a batch are in quarantine, the others are accepted.",
    "content": {
        "application/json": {
            "schema": {"type": "object", "properties": {"success": {"const": True}}}
        }
    },
}


def paths(calls: Mapping[str, str], problems: dict[int | str, dict[str, Any]]) -> dict[str, Any]:
    """Path items of every name in ``calls``, with and without a trailing slash."""
    found: dict[str, Any] = {}
    for name, call in calls.items():
        for slash in ("", "/"):
            suffix = "_slash" if slash else ""
            operation: dict[str, Any] = {
                "tags": ["ingestion"],
                "summary": _SUMMARIES[call],
                "operationId": f"ingest_{name}{suffix}",
                "requestBody": {
                    "required": True,
                    "description": "JSON under any content type, plain or gzipped.",
                    "content": {
                        "application/json": {"schema": _schema(call), "example": _EXAMPLES[call]}
                    },
                },
                "responses": {"200": _ANSWER, **{str(k): v for k, v in problems.items()}},
            }
            found[f"/v1/{name}{slash}"] = {"post": operation}
    return found


def _schema(call: str) -> dict[str, Any]:
    if call != "batch":
        return {"type": "object", "properties": _COMMON | _OWN[call]}
    event = {"type": "object", "properties": {"type": {"enum": list(_OWN)}} | _COMMON}
    return {
        "type": "object",
        "required": ["batch"],
        "properties": {
            "batch": {"type": "array", "maxItems": 2500, "items": event},
            "context": _OBJECT,
            "sentAt": _TIME,
        },
    }
