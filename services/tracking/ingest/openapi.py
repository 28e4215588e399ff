"""The SDK paths as OpenAPI describes them; the plain ASGI endpoint cannot speak for itself."""

from collections.abc import Mapping
from typing import Any

_TEXT = {"type": ["string", "number", "null"]}
_OBJECT = {"type": ["object", "null"], "additionalProperties": True}


def _time(meaning: str) -> dict[str, Any]:
    return _TEXT | {"description": f"{meaning} ISO 8601, or epoch (m)s."}


_SENT_AT = _time(
    "The sender's clock when it sent this; how far it is off is taken out of the times."
)
_COMMON: dict[str, Any] = {
    "messageId": _TEXT
    | {
        "description": "Idempotency key: within 30 days only the first event of a source with this "
        "id counts. Left out, it is made of what the event says, its timestamp included; without "
        "a timestamp as well, every request counts."
    },
    "userId": _TEXT,
    "anonymousId": _TEXT | {"description": "This or userId is needed."},
    "timestamp": _time("When it happened; the moment of arrival, if absent."),
    "originalTimestamp": _time("Read where timestamp is absent."),
    "sentAt": _SENT_AT,
    "context": _OBJECT
    | {
        "description": "Where it came from. `consent.categoryPreferences` states consents by "
        "purpose; marketing messages need `marketing`.",
        "examples": [{"consent": {"categoryPreferences": {"marketing": True}}}],
    },
}
_OWN: dict[str, dict[str, Any]] = {
    "track": {"event": {"type": "string", "examples": ["Order Completed"]}, "properties": _OBJECT},
    "identify": {"traits": _OBJECT},
    "page": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
    "screen": {"name": _TEXT, "category": _TEXT, "properties": _OBJECT},
    "group": {"groupId": _TEXT, "traits": _OBJECT},
    "alias": {
        "previousId": _TEXT
        | {"description": "An anonymousId of the same person. Two userIds are never joined."}
    },
}
_PERSON = {"userId": "u-42"}
_EXAMPLES: dict[str, Any] = {
    "track": {**_PERSON, "event": "Order Completed", "properties": {"total": 99.5}},
    "identify": {**_PERSON, "traits": {"email": "mei@example.org", "plan": "pro"}},
    "page": {**_PERSON, "name": "Pricing", "properties": {"path": "/pricing"}},
    "screen": {**_PERSON, "name": "Basket"},
    "group": {
        **_PERSON,
        "groupId": "acme",
        "traits": {"industry": "Retail"},
        "context": {"account": {"role": "buyer"}},
    },
    "alias": {**_PERSON, "previousId": "anonymous-7"},
}
# Every example has an id of its own: with a shared one, all but the first that is tried would be
# repetitions.
for _call, _example in _EXAMPLES.items():
    _example["messageId"] = f"u-42-{_call}-1"
_EXAMPLES["batch"] = {
    "batch": [
        {"type": call, **_EXAMPLES[call], "messageId": f"u-42-{call}-2"}
        for call in ("identify", "track")
    ]
}
_EXAMPLES |= {
    "cloudevents": {
        "specversion": "1.0",
        "id": "order-1001-placed",
        "source": "https://partner.example/orders",
        "type": "Order Placed",
        "subject": "u-42",
        "time": "2026-03-01T08:30:00Z",
        "data": {"total": 99.5},
    },
    "posthog": {
        "api_key": "wk_…",
        "batch": [
            {
                "event": "Order Completed",
                "distinct_id": "u-42",
                "properties": {"total": 99.5, "$set": {"plan": "pro"}},
                "uuid": "0195d3a0-0000-7000-8000-000000000001",
            }
        ],
    },
    "jitsu": [{"event_type": "order_completed", "user": {"id": "u-42"}, "total": 99.5}],
    "merge": {
        "type": "merge",
        "messageId": "u-42-merge-1",
        "mergeProperties": [
            {"type": "user_id", "value": "u-42"},
            {"type": "email", "value": "mei@example.org"},
        ],
    },
}
_OTHERS: dict[str, dict[str, Any]] = {
    "cloudevents": {
        "type": ["object", "array"],
        "description": "CloudEvents 1.0: one event, a list of events, or any data with the "
        "attributes in `ce-…` headers. `type` is the event's name, `subject` the user's id, `id` "
        "the idempotency key within the source, `data` the properties; the extension attributes "
        "`userid` and `anonymousid` go before `subject`.",
    },
    "posthog": {
        "type": ["object", "array"],
        "description": "What PostHog's clients post to `/batch`, `/e`, `/i/v0/e` and `/capture`, "
        "which are this path's other names: an event, a list, or `batch`; the key in `api_key`.",
    },
    "jitsu": {
        "type": ["object", "array"],
        "description": "Events of Jitsu's legacy clients: `/api/v1/s2s/event?token=`.",
    },
    "merge": {
        "type": "object",
        "required": ["mergeProperties"],
        "properties": {
            **_COMMON,
            "mergeProperties": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {
                    "type": "object",
                    "required": ["type", "value"],
                    "properties": {
                        "type": {"enum": ["user_id", "anonymous_id", "email", "phone", "mobile"]},
                        "value": _TEXT,
                    },
                },
            },
        },
    },
}
_SUMMARIES = {
    "cloudevents": "Send CloudEvents",
    "posthog": "Send what PostHog's clients send",
    "jitsu": "Send what Jitsu's legacy clients send",
    "merge": "Join two ids of a person, as RudderStack says it",
    "track": "Record what a person did",
    "identify": "Tell who a person is",
    "page": "Record a page view",
    "screen": "Record a screen view",
    "group": "Put a person into an account",
    "alias": "Give a person an id used before",
    "batch": "Send many calls at once",
}
# What is to be named in rules, journeys and queries.
_DESCRIPTIONS = {
    "track": "Counts as the event it names.",
    "identify": "Its traits become the profile's; in timelines it is the event `identify`.",
    "page": "Counts as the event `Page Viewed`, with `name` and `category` among its properties.",
    "screen": "Counts as the event `Screen Viewed`, with `name` and `category` among its "
    "properties.",
    "group": "Its traits become the account's, and `context.account.role` says what the person is "
    "in it; in timelines it is the event `group`.",
    "alias": "In timelines it is the event `alias`.",
    "batch": "Calls of any kind, each with its `type`.",
    "cloudevents": "One, a list, or in binary mode. Each counts as the event its `type` names.",
    "posthog": "Each becomes the call that means the same; `docs/clients.md` has the table.",
    "jitsu": "`user_identify` is identify, `pageview` is page, everything else track.",
    "merge": "Two ids of one kind are an alias; ids of two kinds identify the person.",
}


def _answer(call: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"success": {"const": True}}}
    batch = " Bad events of a batch are in quarantine, the others are accepted."
    return {
        "description": "Durable." + (batch if call == "batch" else ""),
        "content": {"application/json": {"schema": schema}},
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
                "description": _DESCRIPTIONS[call],
                "operationId": f"ingest_{name}{suffix}",
                "requestBody": {
                    "required": True,
                    "description": "JSON under any content type, plain or gzipped.",
                    "content": {
                        "application/json": {"schema": _schema(call), "example": _EXAMPLES[call]}
                    },
                },
                "responses": {"200": _answer(call), **{str(k): v for k, v in problems.items()}},
            }
            found[f"/v1/{name}{slash}"] = {"post": operation}
    return found


def _schema(call: str) -> dict[str, Any]:
    if call in _OTHERS:
        return _OTHERS[call]
    if call != "batch":
        return {"type": "object", "properties": _COMMON | _OWN[call]}
    every = {name: schema for fields in _OWN.values() for name, schema in fields.items()}
    event = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(_OWN)}} | _COMMON | every,
    }
    return {
        "type": "object",
        "required": ["batch"],
        "properties": {
            "batch": {"type": "array", "maxItems": 2500, "items": event},
            "context": _OBJECT,
            "sentAt": _SENT_AT,
        },
    }
