"""Signed requests as Standard Webhooks says; the message's id is the receiver's idempotency key."""

from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec

from services.kit.guard import AddressRefused
from services.kit.signature import signature
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.result import Result
from services.orchestrator.delivery.smtp import HandOver
from services.orchestrator.journeys.compiled import look_up
from services.orchestrator.messages.model import Claimed

MAX_ATTEMPTS = 8
MAX_ANSWER_BYTES = 65_536
MAX_TEXT = 2_000
_AGAIN = {408, 425, 429}


async def send(
    client: httpx2.AsyncClient, claim: Claimed, target: Target, hand_over: HandOver, now: int
) -> Result:
    """Trying again is safe here: receivers see the same `webhook-id` and act once."""
    body = msgspec.json.encode(claim.content["payload"])
    timestamp = now // 1000
    headers = {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "webhook-id": str(claim.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(target.secrets["secret"], str(claim.id), timestamp, body),
    }
    if not await hand_over(claim):
        return Result("lost_lease")
    try:
        async with client.stream(
            "POST", target.config["url"], content=body, headers=headers
        ) as response:
            status = response.status_code
            # Read only where somebody needs it, and never more: it could be a bomb.
            wanted = claim.content.get("capture") if 200 <= status < 300 else None
            captured = capture(await _read(response), wanted) if wanted else {}
    except httpx2.ConnectError as error:
        if isinstance(error.__cause__, AddressRefused):
            return Result("failed", "address_not_allowed")
        return _again(claim, "unreachable")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return Result("failed", "url_not_valid")
    except httpx2.TransportError as error:
        return _again(claim, type(error).__name__)
    if 200 <= status < 300:
        return Result("accepted", captured=captured)
    if status >= 500 or status in _AGAIN:
        return _again(claim, f"http_{status}")
    return Result("failed", f"http_{status}")


async def _read(response: httpx2.Response) -> bytes:
    """The body, or nothing where it is longer than ``MAX_ANSWER_BYTES``. It comes as it was sent:
    unpacking it is what bombs wait for."""
    found = b""
    async for chunk in response.aiter_raw():
        found += chunk
        if len(found) > MAX_ANSWER_BYTES:
            return b""
    return found


def capture(body: bytes, wanted: Mapping[str, str]) -> dict[str, Any]:
    """What is found at these paths of the JSON, by name: texts, numbers and booleans. Pure."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    found = {name: look_up(document, path) for name, path in wanted.items()}
    return {name: value for name, value in found.items() if _kept(value)}


def _kept(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_TEXT and "\x00" not in value
    return isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63)


def _again(claim: Claimed, reason: str) -> Result:
    return Result("failed" if claim.attempts >= MAX_ATTEMPTS else "again", reason)
