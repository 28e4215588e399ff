"""Partners that post signed webhooks, for tests."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx2

from tests.tracking.service import Running, eventually

PATH = "/api/v1/sources/web/webhook"
KEY = b"0123456789abcdef01234567"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
STANDARD = {"scheme": "standard-webhooks"}
ORDER_RULE: dict[str, Any] = {
    "event": {"constant": "Order Placed"},
    "user_id": {"pointer": "/customer/id", "as": "string"},
    "properties": {"fields": {"total": {"pointer": "/total", "as": "number"}}},
}


def order(user: int | None = 7, total: Any = "9.50") -> dict[str, Any]:
    return {"customer": {"id": user}, "total": total}


async def configure(both: Running, **change: Any) -> httpx2.Response:
    """The answer; where it is 200, ingestion acts on it."""
    body = {
        "signature": {"scheme": "none"},
        "mapping": {"rules": [ORDER_RULE]},
        **change,
    }
    response = await both.store.put(PATH, json=body)
    if response.status_code == 200:
        await in_force(both)
    return response


async def in_force(both: Running) -> None:
    """Waits until ingestion acts on the newest settings of sources."""
    ((newest,),) = await both.tracking.sql("SELECT max(revision) FROM source_setting")

    async def felt() -> bool:
        text = (await both.ingest.get("/metrics")).text
        return f"\nwaymark_plans_revision {float(newest)}\n" in text

    await eventually(felt, within=5, what="the settings in force")


def standard(
    body: bytes, key: bytes = KEY, identity: str = "msg_1", at: int | None = None
) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    stamp = str(int(time.time()) if at is None else at)
    signed = b".".join([identity.encode(), stamp.encode(), body])
    made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": identity,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{made}",
    }


async def post(both: Running, body: Any, **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await both.ingest.post("/v1/webhooks", content=content, headers=headers)
