"""The webhooks' door as OpenAPI describes it; the plain ASGI endpoint cannot speak for itself."""

from typing import Any

_DESCRIPTION = """\
Any JSON, signed as the source's webhook says (`/api/v1/sources/{source_id}/webhook`), which also \
says what becomes of it. The write key of the source stands in the URL, \
`/v1/webhooks/{write_key}` or `?writeKey=`, or comes as the user of Basic authentication or in \
`X-Write-Key`; it is never looked for in the body. `/v1/webhook` is the same path under \
RudderStack's name.

The answer is 200 also where the mapping skips an item or cannot make an event of it; the latter \
is in the quarantine with its reason. A source without a webhook keeps whole bodies there, to be \
replayed when it has one. 401 means a wrong key or signature, 400 that the body is no JSON; \
nothing is kept then. After 503 send the same again.\
"""
_ORDER = {
    "id": 8209829119461,
    "created_at": "2026-11-25T08:30:00Z",
    "total_price": "409.94",
    "currency": "CNY",
    "email": "mei@example.org",
    "customer": {"id": 1153106273147},
}
_INVOICE = {
    "id": "evt_1PgafTB1WZd",
    "type": "invoice.paid",
    "created": 1795595400,
    "data": {"object": {"customer": "cus_Na6dX7aXxi11N4", "amount_paid": 40994, "currency": "cny"}},
}


def path_item(problems: dict[int | str, dict[str, Any]]) -> dict[str, Any]:
    """``problems``: what ``problem_responses`` makes."""
    success = {"type": "object", "properties": {"success": {"const": True}}}
    headers = (
        ("webhook-id", "Standard Webhooks: the same when a delivery is tried again."),
        ("webhook-timestamp", "Standard Webhooks: seconds since 1970."),
        ("webhook-signature", "Standard Webhooks: `v1,` and the base64 of the HMAC."),
    )
    operation = {
        "tags": ["webhooks"],
        "summary": "Post a webhook",
        "description": _DESCRIPTION,
        "operationId": "ingest_webhooks",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in headers
        ],
        "requestBody": {
            "required": True,
            "description": "JSON under any content type, plain or gzipped.",
            "content": {
                "application/json": {
                    "schema": {"type": ["object", "array"]},
                    "examples": {
                        "order": {"summary": "A shop's order", "value": _ORDER},
                        "invoice": {"summary": "A payment provider's event", "value": _INVOICE},
                    },
                }
            },
        },
        "responses": {
            "200": {
                "description": "Durable, or skipped as the mapping says.",
                "content": {"application/json": {"schema": success}},
            },
            **{str(status): problem for status, problem in problems.items()},
        },
    }
    return {"post": operation}
