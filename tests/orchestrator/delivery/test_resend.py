"""Resend against a server that behaves as its documentation says."""

import pytest

from services.orchestrator.delivery.result import Result
from tests.orchestrator.delivery.conftest import NOW, Bench
from tests.orchestrator.providers import Provider, Reply

pytestmark = pytest.mark.anyio

CONTENT = {"subject": "Hi", "text": "Hello", "html": "<p>Hello</p>"}


def error(status: int, name: str, **headers: str) -> Reply:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Reply(status, {"statusCode": status, "name": name, "message": "why"}, named)


CASES = {
    "taken": (Reply(200, {"id": "r1"}), Result("accepted", provider_id="r1")),
    "rate limit": (
        error(429, "rate_limit_exceeded", retry_after="7"),
        Result("again", "rate_limited", retry_at=NOW + 7_000),
    ),
    "daily quota": (
        error(429, "daily_quota_exceeded"),
        Result("again", "rate_limited", retry_at=NOW + 60_000),
    ),
    "bad field": (
        error(422, "missing_required_field"),
        Result("failed", "http_422 missing_required_field: why"),
    ),
    "domain not verified": (
        error(403, "validation_error"),
        Result("failed", "http_403 validation_error: why"),
    ),
    "bad key": (
        error(403, "invalid_api_key"),
        Result("again", "credentials_refused: http_403 invalid_api_key: why"),
    ),
    "broken": (
        error(500, "application_error"),
        Result("again", "http_500 application_error: why"),
    ),
    "same key in flight": (
        error(409, "concurrent_idempotent_requests"),
        Result("again", "http_409 concurrent_idempotent_requests: why"),
    ),
    "same key, other words": (
        error(409, "invalid_idempotent_request"),
        Result("unknown", "http_409 invalid_idempotent_request: why"),
    ),
    "answer lost": (Reply(lost=True), Result("again", "answer_lost: RemoteProtocolError")),
}


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
async def test_what_resend_says(
    bench: Bench, provider: Provider, reply: Reply, expected: Result
) -> None:
    provider.says("/emails", reply)
    way = bench.way(
        type="resend", from_address="a@example.com", api_key="re_1", base_url=provider.url
    )
    assert await bench.send(way, bench.claim("to@example.com", CONTENT)) == expected


async def test_what_resend_is_asked(bench: Bench, provider: Provider) -> None:
    provider.says("/emails", Reply(200, {"id": "r1"}))
    way = bench.way(
        type="resend",
        from_address="a@example.com",
        from_name="Wäy",
        api_key="re_1",
        base_url=provider.url,
    )
    link = "https://cx.example.org/v1/unsubscribe/t"
    claim = bench.claim("to@example.com", {**CONTENT, "unsubscribe_url": link})
    bench.held = False
    await bench.send(way, claim)
    bench.held = True
    await bench.send(way, claim)
    [asked] = provider.requests
    assert asked.headers["idempotency-key"] == str(claim.id)
    assert asked.headers["authorization"] == "Bearer re_1"
    assert asked.json["to"] == ["to@example.com"]
    assert (asked.json["subject"], asked.json["text"]) == ("Hi", "Hello")
    assert asked.json["html"] == "<p>Hello</p>"
    assert asked.json["headers"] == {
        "X-Waymark-Message-Id": str(claim.id),
        "List-Unsubscribe": f"<{link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
