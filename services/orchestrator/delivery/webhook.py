"""Signed requests as Standard Webhooks says; the message's id is the receiver's idempotency key."""

import httpx2
import msgspec

from services.kit.guard import AddressRefused
from services.kit.signature import signature
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery.result import Result
from services.orchestrator.delivery.smtp import HandOver
from services.orchestrator.messages.model import Claimed

MAX_ATTEMPTS = 8
_AGAIN = {408, 425, 429}


async def send(
    client: httpx2.AsyncClient, claim: Claimed, target: Target, hand_over: HandOver, now: int
) -> Result:
    """Trying again is safe here: receivers see the same `webhook-id` and act once."""
    body = msgspec.json.encode(claim.content["payload"])
    timestamp = now // 1000
    headers = {
        "content-type": "application/json",
        "webhook-id": str(claim.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(target.secrets["secret"], str(claim.id), timestamp, body),
    }
    if not await hand_over(claim):
        return Result("lost_lease")
    try:
        # The answer's body is not read: nobody needs it, and it could be a bomb.
        async with client.stream(
            "POST", target.config["url"], content=body, headers=headers
        ) as response:
            status = response.status_code
    except httpx2.ConnectError as error:
        if isinstance(error.__cause__, AddressRefused):
            return Result("failed", "address_not_allowed")
        return _again(claim, "unreachable")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return Result("failed", "url_not_valid")
    except httpx2.TransportError as error:
        return _again(claim, type(error).__name__)
    if 200 <= status < 300:
        return Result("accepted")
    if status >= 500 or status in _AGAIN:
        return _again(claim, f"http_{status}")
    return Result("failed", f"http_{status}")


def _again(claim: Claimed, reason: str) -> Result:
    return Result("failed" if claim.attempts >= MAX_ATTEMPTS else "again", reason)
