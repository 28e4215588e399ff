"""What the clients of each protocol say, as text that a corpus can damage."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.routing import INGESTION

Say = Callable[[str], dict[str, Any]]


@dataclass(frozen=True)
class Family:
    """``event``: a good one, of which the id given is the message id. ``listed``: the body around
    several events' texts, None where the path takes one only."""

    event: Say
    listed: Callable[[list[bytes]], bytes] | None
    paths: tuple[str, ...]


def _batch(events: list[bytes]) -> bytes:
    return b'{"sentAt":"2026-11-25T08:30:00Z","batch":[%b]}' % b",".join(events)


def _list(events: list[bytes]) -> bytes:
    return b"[%b]" % b",".join(events)


def _track(identity: str) -> dict[str, Any]:
    return {
        "type": "track",
        "messageId": identity,
        "userId": "u-1",
        "anonymousId": "a-1",
        "event": "Order Completed",
        "timestamp": "2026-11-25T08:30:00.000Z",
        "properties": {"total": 99.5, "items": [{"sku": "s1"}], "coupon": None},
        "context": {"library": {"name": "x"}, "traits": {"email": "a@example.org"}},
    }


def _whole(identity: str) -> dict[str, Any]:
    """Every field of every call: single calls take their type from the path."""
    others = {"traits": {"plan": "pro"}, "groupId": "g", "previousId": "a-0", "name": "n"}
    return _track(identity) | others | {"category": "c", "channel": "server", "sentAt": "x"}


def _posthog(identity: str) -> dict[str, Any]:
    return {
        "event": "Order Completed",
        "uuid": identity,
        "distinct_id": "u-1",
        "timestamp": "2026-11-25T08:30:00Z",
        "offset": 5,
        "properties": {"$lib": "x", "$set": {"plan": "pro"}, "$groups": {"team": "t"}},
    }


def _jitsu(identity: str) -> dict[str, Any]:
    return {
        "event_type": "order_completed",
        "event_id": identity,
        "user": {"id": "u-1", "anonymous_id": "a-1", "email": "a@example.org"},
        "utc_time": "2026-11-25T08:30:00Z",
        "utm": {"campaign": "c"},
        "total": 99.5,
    }


def _cloudevent(identity: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "https://partner.example/orders",
        "type": "Order Placed",
        "subject": "u-1",
        "time": "2026-11-25T08:30:00Z",
        "data": {"total": 99.5},
    }


def _merge(identity: str) -> dict[str, Any]:
    pairs = [{"type": "user_id", "value": "u-1"}, {"type": "email", "value": "a@example.org"}]
    return {"type": "merge", "messageId": identity, "mergeProperties": pairs}


def _webhook(identity: str) -> dict[str, Any]:
    return {
        "id": identity,
        "kind": "order",
        "created": 1_795_595_400,
        "customer": {"id": "u-1", "email": "a@example.org"},
        "total": "99.50",
        "paid": "true",
        "data": {"sku": "s1"},
    }


MAPPING: dict[str, Any] = {
    "each": "",
    "rules": [
        {
            "event": {"pointer": "/kind", "table": {"order": "Order Placed"}},
            "user_id": {"pointer": "/customer/id", "as": "string"},
            "message_id": {"pointer": "/id"},
            "timestamp": {"value": {"pointer": "/created"}, "format": "epoch_seconds"},
            "properties": {
                "pointer": "/data",
                "fields": {
                    "total": {"pointer": "/total", "as": "number"},
                    "paid": {"pointer": "/paid", "as": "boolean"},
                    "topic": {"header": "X-Topic"},
                },
            },
            "traits": {"fields": {"email": {"pointer": "/customer/email", "as": "string"}}},
        }
    ],
}
"""Of the source that all webhooks of the corpus come from."""


def _paths(*targets: str) -> tuple[str, ...]:
    return tuple(path for path, target in INGESTION.items() if target in targets)


_SINGLE = tuple(f"/v1/{call}" for call in ("track", "identify", "page", "screen", "group", "alias"))
FAMILIES = {
    "batch": Family(_track, _batch, _paths("/v1/batch")),
    "single": Family(_whole, None, _paths(*_SINGLE)),
    "posthog": Family(_posthog, _batch, _paths("/v1/posthog", "/i/v1/analytics/events")),
    "jitsu": Family(_jitsu, _list, _paths("/v1/jitsu")),
    "cloudevents": Family(_cloudevent, _list, _paths("/v1/cloudevents")),
    "merge": Family(_merge, _batch, _paths("/v1/merge")),
    "webhook": Family(_webhook, _list, _paths("/v1/webhooks")),
}


def text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
