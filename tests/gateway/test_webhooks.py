"""Partners' webhooks at the door: the key, the bytes, and who answers for their configuration."""

import gzip
from typing import Any

import pytest
from structlog.testing import CapturingLogger

from gateway import edge
from gateway.routing import Api, Ingestion, route
from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio

BODY = b'{ "id" : 1 , "writeKey": "wk_of_the_partner" }\n'
SIGNED = {"Stripe-Signature": "t=1,v1=00", "Webhook-Id": "msg_1"}


@pytest.mark.parametrize("body", [BODY, gzip.compress(BODY, mtime=0), b"", b"\xff"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_key_in_the_path_lets_the_bytes_through_as_they_came(
    platform: Platform, body: bytes, slash: str
) -> None:
    path = f"/v1/webhooks/{platform.write_key}{slash}"
    answer = await platform.client.post(path, content=body, headers=SIGNED)
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    (seen,) = platform.ingest.seen
    assert (seen.target, seen.body) == ("/v1/webhooks", body)
    assert (seen.header("stripe-signature"), seen.header("webhook-id")) == ("t=1,v1=00", "msg_1")
    assert seen.caller("tracking").source_id == platform.source_id
    assert platform.write_key not in repr(seen.headers)


@pytest.mark.parametrize("path", ["/v1/webhooks", "/v1/webhook"])
async def test_the_key_comes_in_the_usual_places_but_never_in_the_body(
    platform: Platform, path: str
) -> None:
    key = platform.write_key
    ways: list[dict[str, Any]] = [
        {"params": {"writeKey": key}},
        {"auth": (key, "")},
        {"headers": {"X-Write-Key": key}},
        {"headers": {"Authorization": f"Bearer {key}"}},
    ]
    for way in ways:
        answer = await platform.client.post(path, content=BODY, **way)
        assert answer.status_code == 200, way
    for name in ("writeKey", "api_key", "token"):
        answer = await platform.client.post(path, json={name: key})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")
    assert len(platform.ingest.seen) == len(ways)


async def test_a_wrong_key_in_the_path_is_refused_before_the_body_is_read(
    platform: Platform,
) -> None:
    for key, status in (("wk_wrong", 401), ("%20", 401), (platform.secret_key, 403)):
        answer = await platform.client.post(f"/v1/webhooks/{key}", content=BODY)
        assert answer.status_code == status
        assert {"code", "message"} <= set(answer.json())
    assert platform.ingest.seen == []


async def test_a_key_in_the_path_is_in_no_log(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = CapturingLogger()
    monkeypatch.setattr(edge, "log", lines)
    await platform.client.post(f"/v1/webhooks/{platform.write_key}", content=BODY)
    await platform.client.get(f"/v1/webhooks/{platform.write_key}")
    assert [line.kwargs["path"] for line in lines.calls] == ["/v1/webhooks/…"] * 2
    for wrong in ("/v1/webhook/{}", "/v1/webhooks/{}/orders", "/{}"):
        await platform.client.post(wrong.format(platform.write_key), content=BODY)
    assert lines.calls[-1].kwargs["path"] == "/…"
    assert platform.write_key not in repr(lines.calls)


async def test_how_webhooks_are_read_is_trackings_to_answer(platform: Platform) -> None:
    path = f"/api/v1/sources/{platform.source_id}/webhook"
    for method, suffix in (("PUT", ""), ("GET", ""), ("DELETE", ""), ("POST", "/test")):
        await platform.client.request(method, path + suffix, headers=platform.admin, json={})
    seen = platform.services["tracking"].seen
    assert [(one.method, one.target) for one in seen] == [
        ("PUT", path), ("GET", path), ("DELETE", path), ("POST", f"{path}/test")
    ]  # fmt: skip
    assert route("/api/v1/sources/webhook") == Api("gateway")
    assert route("/v1/webhooks/a/b") is None
    assert isinstance(route("/v1/webhooks/"), Ingestion)
