"""Bodies of callbacks as each provider writes them, by what they say."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from tests.orchestrator.conftest import START

PERMANENT = {"type": "Permanent", "message": "no such user"}


def as_resend(type_: str, **data: Any) -> Callable[[str], bytes]:
    def body(message_id: str) -> bytes:
        found = {"email_id": "e1", "tags": {"message_id": message_id}, **data}
        created = "2027-01-15T07:59:00.000Z"
        return json.dumps({"type": type_, "created_at": created, "data": found}).encode()

    return body


def as_sendgrid(event: str, **more: Any) -> Callable[[str], bytes]:
    def body(message_id: str) -> bytes:
        found = {"event": event, "message_id": message_id, "timestamp": START // 1_000, **more}
        return json.dumps(["odd", {"event": "open"}, {**found, "event": "new"}, found]).encode()

    return body


def as_twilio(status: str, **more: str) -> Callable[[str], bytes]:
    return lambda _: urlencode({"MessageStatus": status, "MessageSid": "SM1", **more}).encode()
