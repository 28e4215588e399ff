"""What SDKs see at the door."""

import base64
import gzip
import json
from typing import Any

import pytest

from gateway.routing import INGESTION
from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio

EVENT = {"type": "track", "event": "Tried", "userId": "u1", "messageId": "m1"}
BATCH = {"batch": [EVENT], "sentAt": "2026-03-01T00:00:00Z"}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(("path", "target"), sorted(INGESTION.items()))
async def test_every_ingestion_path_reaches_tracking_in_both_slash_forms(
    platform: Platform, path: str, target: str, slash: str
) -> None:
    response = await platform.post(path + slash, json=EVENT)
    assert (response.status_code, response.json()) == (200, {"success": True})
    assert [seen.target for seen in platform.ingest.seen] == [target]


async def test_tracking_is_told_workspace_source_and_scope_and_nothing_of_the_key(
    platform: Platform,
) -> None:
    await platform.post("/v1/track?writeKey=x&a=1", json=EVENT)
    seen = platform.ingest.seen[0]
    caller = seen.caller("tracking")
    assert (caller.issuer, caller.kind, caller.scopes) == ("gateway", "user", frozenset({"ingest"}))
    assert (caller.workspace_id, caller.source_id) == (platform.workspace_id, platform.source_id)
    assert seen.target == "/v1/track?a=1"
    assert platform.write_key not in repr(seen.headers)


def _basic(user: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("basic", {"headers": {"Authorization": "Basic KEY:"}}),
    ("basic", {"headers": {"Authorization": "Basic KEY"}}),
    (
        "bearer",
        {"headers": {"Authorization": "Bearer token"}, "json": {**BATCH, "writeKey": "KEY"}},
    ),
    ("bearer", {"headers": {"Authorization": "Bearer KEY"}}),
    ("header", {"headers": {"X-Write-Key": "KEY"}}),
    ("query", {"params": {"writeKey": "KEY"}}),
    ("query", {"params": {"writekey": "KEY"}}),
    ("body", {"json": {**BATCH, "writeKey": "KEY"}}),
    ("body", {"json": {"batch": [{**EVENT, "writeKey": "KEY"}]}}),
    ("body", {"json": {"batch": [{**EVENT, "writeKey": "KEY"}], "writeKey": None}}),
    # The first place that holds one decides.
    (
        "basic",
        {"headers": {"Authorization": "Basic KEY:"}, "json": {**BATCH, "writeKey": "KEYID:*"}},
    ),
    ("header", {"headers": {"X-Write-Key": "KEY"}, "params": {"writeKey": "other"}}),
    ("header", {"headers": {"X-Write-Key": "KEY", "Authorization": "Basic Og=="}}),
    ("query", {"params": {"writeKey": "KEY"}, "json": {**BATCH, "writeKey": "other"}}),
]


@pytest.mark.parametrize(("place", "request_"), WAYS)
async def test_the_write_key_is_found_wherever_an_sdk_puts_it(
    platform: Platform, place: str, request_: dict[str, Any]
) -> None:
    key = platform.write_key
    filled = json.loads(json.dumps(request_).replace("KEYID", "masked").replace("KEY", key))
    headers = filled.pop("headers", {})
    if headers.get("Authorization", "").startswith("Basic wk_"):
        headers |= _basic(headers["Authorization"].removeprefix("Basic "))
    content = json.dumps(filled.pop("json", BATCH))
    headers["Content-Type"] = "text/plain"
    response = await platform.post("/v1/batch", headers=headers, content=content, **filled)
    assert response.status_code == 200, response.text
    seen = platform.ingest.seen[0]
    assert seen.header("x-key-place") == place
    assert seen.body == content.encode()


async def test_a_jitsu_style_key_with_a_colon_is_the_same_key(platform: Platform) -> None:
    head, _, secret = platform.write_key.rpartition("_")
    response = await platform.post(
        "/v1/track", json=EVENT, headers={"X-Write-Key": f"{head}:{secret}"}
    )
    assert response.status_code == 200


@pytest.mark.parametrize("announced", [True, False])
async def test_the_key_is_read_from_gzip_and_the_body_travels_on_untouched(
    platform: Platform, announced: bool
) -> None:
    content = gzip.compress(json.dumps({**BATCH, "writeKey": platform.write_key}).encode())
    headers = {"Content-Encoding": "gzip"} if announced else {}
    response = await platform.post("/v1/batch", headers=headers, content=content)
    assert response.status_code == 200
    seen = platform.ingest.seen[0]
    assert seen.body == content
    assert seen.header("content-encoding") == headers.get("Content-Encoding")


async def test_refusals_carry_code_message_and_the_members_of_a_problem(platform: Platform) -> None:
    response = await platform.post("/v1/track", json=EVENT, auth=("wk_wrong", ""))
    assert response.status_code == 401
    body = response.json()
    assert body == {
        "type": "/problems/invalid-key",
        "title": "The key is missing or not valid",
        "status": 401,
        "detail": body["message"],
        "instance": "/v1/track",
        "code": "invalid_key",
        "message": body["message"],
    }


async def test_a_key_with_one_wrong_character_is_refused(platform: Platform) -> None:
    key = platform.write_key
    wrong = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert (await platform.post("/v1/track", json=EVENT, auth=(wrong, ""))).status_code == 401
    assert platform.ingest.seen == []


async def test_a_secret_key_does_not_post_events(platform: Platform) -> None:
    for headers in (platform.admin, _basic(platform.secret_key)):
        response = await platform.post("/v1/track", json=EVENT, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "wrong_kind_of_key")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 401),
        (b"{", 400),
        (b"[]", 400),
        (b'{"writeKey": 5}', 401),
        (b'{"writeKey": "\\ud800"}', 400),
        (b'{"batch": {}}', 401),
        (b'{"batch": []}', 401),
        (b'{"batch": [3]}', 401),
        (b'{"writeKey": "a\\u0000"}', 401),
        (b"\xff\xfe{}", 400),
        (b'{"a":' * 100_000, 400),
        (b"[" * 100_000, 400),
        (b"\x1f\x8bnonsense", 400),
        (gzip.compress(b'{"a":1}', mtime=0)[:-4], 400),
        (gzip.compress(b" " * 6 * 1024 * 1024, mtime=0), 413),
        (b" " * (5 * 1024 * 1024 + 1), 413),
    ],
    ids=range(16),
)
async def test_a_body_that_gives_no_key_is_a_client_error(
    platform: Platform, content: bytes, status: int
) -> None:
    response = await platform.post("/v1/batch", headers={}, content=content)
    assert response.status_code == status, response.text
    assert set(response.json()) >= {"code", "message", "type"}
    assert platform.ingest.seen == []


async def test_a_batch_of_five_mebibytes_is_taken(platform: Platform) -> None:
    content = b" " * (5 * 1024 * 1024)
    response = await platform.post("/v1/batch", content=content)
    assert response.status_code == 200
    assert len(platform.ingest.seen[0].body) == len(content)


async def test_other_methods_are_refused_without_a_redirect(platform: Platform) -> None:
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        response = await platform.client.request(method, "/v1/batch/")
        assert response.status_code == 405
        assert response.headers["allow"] == "POST, OPTIONS"


async def test_preflights_mirror_what_the_browser_asks(platform: Platform) -> None:
    response = await platform.client.options(
        "/v1/t",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["access-control-expose-headers"] == "Retry-After"
    assert response.headers["access-control-allow-headers"] == "authorization,content-type"
    assert response.headers["access-control-max-age"] == "900"


async def test_errors_too_can_be_read_by_the_page(platform: Platform) -> None:
    headers = {"Origin": "https://shop.example", "X-Write-Key": "wrong"}
    response = await platform.post("/v1/t", headers=headers, json=EVENT)
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
