"""Twilio against a server that behaves as its documentation says."""

from base64 import b64encode

import pytest

from services.orchestrator.delivery.result import Result
from tests.orchestrator.delivery.conftest import NOW, Bench
from tests.orchestrator.providers import Provider, Reply

pytestmark = pytest.mark.anyio

SID = "AC" + "0a" * 16
PATH = f"/2010-04-01/Accounts/{SID}/Messages.json"


def error(status: int, code: int, **headers: str) -> Reply:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(status, {"code": code, "message": "why", "status": status}, named)


CASES = {
    "taken": (
        Reply(201, {"sid": "SM1", "status": "queued"}),
        Result("accepted", provider_id="SM1"),
    ),
    "rate limit": (
        error(429, 20429, retry_after="3"),
        Result("again", "http_429 20429: why", retry_at=NOW + 3_000),
    ),
    "queue full": (
        error(400, 21611),
        Result("again", "http_400 21611: why", retry_at=NOW + 60_000),
    ),
    "no number": (error(400, 21211), Result("failed", "dead_address: http_400 21211: why")),
    "landline": (error(400, 21614), Result("failed", "dead_address: http_400 21614: why")),
    "unsubscribed": (error(400, 21610), Result("failed", "http_400 21610: why")),
    "bad login": (
        error(401, 20003),
        Result("again", "credentials_refused: http_401 20003: why"),
    ),
    "country closed": (error(403, 21408), Result("failed", "http_403 21408: why")),
    "away": (error(503, 20503), Result("again", "http_503 20503: why")),
    "broken": (error(500, 20500), Result("unknown", "http_500 20500: why")),
    "answer lost": (Reply(lost=True), Result("unknown", "answer_lost: RemoteProtocolError")),
}


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
async def test_what_twilio_says(
    bench: Bench, provider: Provider, reply: Reply, expected: Result
) -> None:
    provider.says(PATH, reply)
    way = bench.way(
        type="twilio",
        account_sid=SID,
        auth_token="secret",
        from_number="+15005550006",
        base_url=provider.url,
    )
    assert await bench.send(way, bench.claim("+15005550001", {"text": "你好 & bye"})) == expected
    [asked] = provider.asked(PATH)
    login = b64encode(f"{SID}:secret".encode()).decode()
    assert asked.headers["authorization"] == f"Basic {login}"
    assert asked.form == {"To": "+15005550001", "Body": "你好 & bye", "From": "+15005550006"}


@pytest.mark.parametrize(
    "senders", [{}, {"from_number": "1", "messaging_service_sid": "MG" + "0" * 32}]
)
async def test_a_channel_names_one_sender(bench: Bench, senders: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="either from_number or messaging_service_sid"):
        bench.way(type="twilio", account_sid=SID, auth_token="s", **senders)
