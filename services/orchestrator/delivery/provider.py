"""One HTTP request to a provider: marked as handed over right before it, its answer read, and what
went wrong told apart by whether the provider may have taken the message."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import msgspec

from services.kit.guard import ANSWER_SECONDS, AddressRefused
from services.orchestrator.delivery.port import HandOver
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed

MAX_ANSWER_BYTES = 65_536
"""Providers answer with a few hundred; what is longer is cut off, as it could be a bomb."""
LIMITED_MS = 60_000
"""How long we wait where a provider limits our rate and does not say for how long."""
LONGEST_WAIT_MS = 3_600_000
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider said."""

    status: int
    headers: httpx2.Headers
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The object in it; empty where there is none."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {}
        return found if isinstance(found, dict) else {}


def json_request(url: str, body: Any, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = msgspec.json.encode(body)
    return Request("POST", url, content, {"content-type": "application/json", **named})


async def deliver(
    client: httpx2.AsyncClient,
    request: Request,
    claim: Claimed,
    hand_over: HandOver,
    *,
    idempotent: bool = False,
) -> Answer | Result:
    """The provider's answer, or what there is to say without one."""
    if not await hand_over(claim):
        return Result("lost_lease")
    return await exchange(client, request, idempotent=idempotent)


async def exchange(
    client: httpx2.AsyncClient, request: Request, *, idempotent: bool = False
) -> Answer | Result:
    """``deliver`` of a message that is handed over already.

    ``idempotent``: nothing happens twice when it is asked twice, as for a token.
    """
    try:
        return await ask(client, request)
    except _NEVER_SENT as error:
        return never_sent(error)
    except httpx2.TransportError as error:
        return Result("again" if idempotent else "unknown", f"answer_lost: {type(error).__name__}")
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return Result("failed", "url_not_valid")


async def ask(client: httpx2.AsyncClient, request: Request) -> Answer:
    """Raises what httpx2 raises when no whole answer comes."""
    headers = {"accept-encoding": "identity", **request.headers}
    body = bytearray()
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            client.stream(
                request.method, request.url, content=request.content, headers=headers
            ) as response,
        ):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    break
    except TimeoutError as error:
        raise httpx2.ReadTimeout("The answer drips.") from error
    return Answer(response.status_code, response.headers, bytes(body))


def never_sent(error: httpx2.TransportError) -> Result:
    """Of a connection that was never made."""
    if isinstance(error.__cause__, AddressRefused):
        return Result("failed", "address_not_allowed")
    return Result("again", "unreachable")


def limited(answer: Answer, now: int, reason: str = "rate_limited") -> Result:
    """Again when the provider says so, which uses up no try."""
    wait = _retry_after_ms(answer.headers.get("retry-after"), now)
    return Result("again", reason, retry_at=now + min(max(wait, 1_000), LONGEST_WAIT_MS))


def refused(answer: Answer, now: int, reason: str, *, idempotent: bool = False) -> Result:
    """What a status says where the provider's codes say nothing more.

    Behind 500, 502 and 504 the message may have been taken all the same (semantics SE-3).
    """
    if answer.status == 429:
        return limited(answer, now)
    if answer.status == 503:
        known = answer.headers.get("retry-after")
        return limited(answer, now, reason) if known else Result("again", reason)
    if answer.status >= 500:
        return Result("again" if idempotent else "unknown", reason)
    if answer.status in (401, 403):
        return Result("again", f"credentials_refused: {reason}"[:300])
    return Result("again" if answer.status in (408, 425) else "failed", reason)


def reason_of(answer: Answer, code: object = None, detail: object = None) -> str:
    """`http_400 21211: what it says`, as far as it says something."""
    head = f"http_{answer.status}" if code is None else f"http_{answer.status} {code}"
    return f"{head}: {detail}"[:300] if detail else head[:300]


def _retry_after_ms(value: str | None, now: int) -> int:
    """RFC 9110: seconds or a date."""
    if value is None:
        return LIMITED_MS
    if value.strip().isdigit():
        return int(value.strip()[:9]) * 1_000
    try:
        return int(parsedate_to_datetime(value).timestamp() * 1_000) - now
    except ValueError:
        return LIMITED_MS
