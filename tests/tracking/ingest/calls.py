"""Calls of other protocols, for tests."""

import json
from typing import Any
from uuid import UUID

from services.kit.problems import Problem
from services.tracking.ingest.accept import accept_calls
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.protocols.call import Adapter, Sent
from services.tracking.log.port import Append

WORKSPACE = UUID("0195d3a0-0000-7000-8000-000000000001")
RECEIVED = 1_795_328_235_366
SENDER = Origin(WORKSPACE, "web", RECEIVED)
DEVICE = "0195d3a0-0000-7000-8000-00000000000d"


def taken(adapter: Adapter, body: Any, **sent: Any) -> tuple[Append, Problem | None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return accept_calls(adapter(Sent(content, received_at=RECEIVED, **sent)), SENDER, None, "any")


def hog(
    event: str = "Seen", distinct_id: str | None = "u1", /, **properties: Any
) -> dict[str, Any]:
    return {"event": event, "distinct_id": distinct_id, "properties": properties}


def merge(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"type": "merge", "mergeProperties": [{"type": t, "value": v} for t, v in pairs]}


CLOUD = {
    "specversion": "1.0",
    "id": "c1",
    "source": "https://partner.example/orders",
    "type": "Order Placed",
    "subject": "u1",
    "time": "2026-03-01T00:00:00Z",
}
