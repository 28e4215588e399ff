"""SendGrid against a server that behaves as its documentation says."""

import pytest

from services.orchestrator.delivery.result import Result
from tests.orchestrator.delivery.conftest import NOW, Bench
from tests.orchestrator.providers import Provider, Reply

pytestmark = pytest.mark.anyio

PATH = "/v3/mail/send"
WHY = {"errors": [{"message": "why", "field": None}]}
CASES = {
    "taken": (
        Reply(202, None, {"x-message-id": "s1"}),
        Result("accepted", provider_id="s1"),
    ),
    "rate limit": (
        Reply(429, WHY, {"x-ratelimit-reset": str(NOW // 1000 + 30)}),
        Result("again", "rate_limited", retry_at=NOW + 30_000),
    ),
    "bad field": (Reply(400, WHY), Result("failed", "http_400: why")),
    "too large": (Reply(413, WHY), Result("failed", "http_413: why")),
    "bad key": (Reply(401, WHY), Result("again", "credentials_refused: http_401: why")),
    "away": (Reply(503, WHY), Result("again", "http_503: why")),
    "broken": (Reply(500, WHY), Result("unknown", "http_500: why")),
    "answer lost": (Reply(lost=True), Result("unknown", "answer_lost: RemoteProtocolError")),
}


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
async def test_what_sendgrid_says(
    bench: Bench, provider: Provider, reply: Reply, expected: Result
) -> None:
    provider.says(PATH, reply)
    way = bench.way(
        type="sendgrid", from_address="a@example.com", api_key="SG.1", base_url=provider.url
    )
    claim = bench.claim("to@example.com", {"subject": "Hi", "text": "Hello", "html": None})
    assert await bench.send(way, claim) == expected
    [asked] = provider.asked(PATH)
    assert asked.headers["authorization"] == "Bearer SG.1"
    assert asked.json["personalizations"][0]["to"] == [{"email": "to@example.com"}]
    assert asked.json["content"] == [{"type": "text/plain", "value": "Hello"}]


async def test_nothing_is_asked_without_the_lease(bench: Bench, provider: Provider) -> None:
    bench.held = False
    way = bench.way(
        type="sendgrid", from_address="a@example.com", api_key="SG.1", base_url=provider.url
    )
    await bench.send(way, bench.claim("to@example.com", {"subject": "", "text": "", "html": None}))


async def test_a_server_that_is_away_was_never_asked(bench: Bench) -> None:
    way = bench.way(
        type="sendgrid",
        from_address="a@example.com",
        api_key="SG.1",
        base_url="http://127.0.0.1:1",
    )
    claim = bench.claim("to@example.com", {"subject": "", "text": "", "html": None})
    assert await bench.send(way, claim) == Result("again", "unreachable")
