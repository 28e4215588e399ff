"""How calls of the API reach the services, and what of them does."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from gateway import proxy
from gateway.routing import Api, route
from tests.gateway.support import Platform, Seen, answer_json

pytestmark = pytest.mark.anyio

OWNERS = [
    ("/api/v1/profiles", "profile"),
    ("/api/v1/profiles/p1", "profile"),
    ("/api/v1/profiles/p1/events", "tracking"),
    ("/api/v1/accounts/a1/events", "tracking"),
    ("/api/v1/accounts/a1/members/p1", "profile"),
    ("/api/v1/account-segments/s1", "profile"),
    ("/api/v1/profiles/p1/segments", "profile"),
    ("/api/v1/segments/s1/members", "profile"),
    ("/api/v1/stages", "profile"),
    ("/api/v1/consents", "profile"),
    ("/api/v1/events", "tracking"),
    ("/api/v1/quarantine", "tracking"),
    ("/api/v1/tracking-plans", "tracking"),
    ("/api/v1/touchpoints", "tracking"),
    ("/api/v1/analytics/funnel", "tracking"),
    ("/api/v1/journeys/j1/replay", "orchestrator"),
    ("/api/v1/maps/m1", "orchestrator"),
    ("/api/v1/message-templates", "orchestrator"),
    ("/api/v1/assessments", "assessment"),
    ("/api/v1/questionnaires", "assessment"),
    ("/api/v1/keys", "gateway"),
    ("/api/v1/sources", "gateway"),
]


@pytest.mark.parametrize(("path", "service"), OWNERS)
def test_each_resource_has_one_owner(path: str, service: str) -> None:
    assert route(path) == Api(service)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/internal/v1/log",
        "/api/v1",
        "/api/v1/",
        "/api/v1/internal",
        "/api/v2/profiles",
        "/v1/x",
    ],
)
def test_nothing_else_is_passed_on(path: str) -> None:
    assert route(path) is None


@pytest.mark.parametrize(("path", "service"), [o for o in OWNERS if o[1] != "gateway"])
async def test_the_owner_gets_the_call_with_a_token_made_for_it(
    platform: Platform, path: str, service: str
) -> None:
    response = await platform.client.get(f"{path}?a=1&b=%2F", headers=platform.admin)
    assert response.status_code == 200
    (seen,) = platform.services[service].seen
    assert seen.target == f"{path}?a=1&b=%2F"
    caller = seen.caller(service)
    assert (caller.kind, caller.workspace_id) == ("user", platform.workspace_id)
    assert caller.scopes == {"admin"}
    assert caller.source_id is None
    others = [s.seen for name, s in platform.services.items() if name != service]
    assert others == [[]] * 4


async def test_internal_paths_are_never_routed(platform: Platform) -> None:
    for path in ("/internal/v1/log", "/internal/v1/facts", "/api/v1/internal/v1/log"):
        response = await platform.client.get(path, headers=platform.admin)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
    assert all(service.seen == [] for service in platform.services.values())


@pytest.mark.parametrize(
    ("credentials", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Bearer sk_" + "0" * 32 + "_" + "a" * 43}, 401),
        ({"Authorization": "Basic SECRET"}, 401),
        ({"Authorization": "Bearer WRITE"}, 403),
        ({"X-Write-Key": "SECRET"}, 401),
    ],
)
async def test_only_a_secret_key_opens_the_api(
    platform: Platform, credentials: dict[str, str], status: int
) -> None:
    keys = {"SECRET": platform.secret_key, "WRITE": platform.write_key}
    headers = dict(credentials)
    for word, key in keys.items():
        headers = {name: value.replace(word, key) for name, value in headers.items()}
    for path in ("/api/v1/profiles", "/api/v1/keys"):
        response = await platform.client.get(path, headers=headers)
        assert response.status_code == status, response.text
        assert ("www-authenticate" in response.headers) == (status == 401)
    assert platform.services["profile"].seen == []


async def test_an_internal_token_is_no_key(platform: Platform) -> None:
    await platform.client.get("/api/v1/profiles", headers=platform.admin)
    stolen = platform.services["profile"].seen[0].header("authorization")
    assert stolen is not None
    response = await platform.client.get("/api/v1/keys", headers={"Authorization": stolen})
    assert response.status_code == 401


async def test_services_see_nothing_that_only_the_gateway_may_say(platform: Platform) -> None:
    await platform.client.get(
        "/api/v1/profiles",
        headers={
            **platform.admin,
            "X-Workspace-Id": "other",
            "X-User-Id": "other",
            "X-Forwarded-For": "10.9.9.9",
            "X-Forwarded-Host": "evil.example",
            "Forwarded": "for=10.9.9.9",
            "X-Request-Id": "mine",
            "X-Key-Place": "basic",
            "Cookie": "a=b",
            "Connection": "keep-alive, X-Secret-Hop",
            "X-Secret-Hop": "1",
            "TE": "trailers",
            "X-Kept": "yes",
        },
    )
    seen = platform.services["profile"].seen[0]
    names = {name for name, _ in seen.headers}
    assert not names & {
        "x-workspace-id",
        "x-user-id",
        "x-forwarded-host",
        "forwarded",
        "x-key-place",
        "cookie",
        "x-secret-hop",
        "te",
    }
    assert seen.header("x-kept") == "yes"
    assert seen.header("x-forwarded-for") == "127.0.0.1"
    assert seen.header("x-request-id") != "mine"


async def test_the_request_id_is_the_same_everywhere(platform: Platform) -> None:
    for path in ("/api/v1/profiles", "/api/v1/keys", "/nowhere", "/livez"):
        response = await platform.client.get(path, headers=platform.admin)
        assert len(response.headers.get_list("x-request-id")) == 1
    answered = (await platform.client.get("/api/v1/journeys", headers=platform.admin)).headers
    (seen,) = platform.services["orchestrator"].seen
    assert seen.header("x-request-id") == answered["x-request-id"]


async def test_bodies_methods_statuses_and_headers_pass_both_ways(platform: Platform) -> None:
    async def created(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        extra = [(b"location", b"/api/v1/journeys/j1"), (b"x-request-id", b"theirs")]
        await answer_json(send, 201, json.loads(seen.body), *extra, (b"x-a", b"1"), (b"x-a", b"2"))

    platform.services["orchestrator"].answer = created
    response = await platform.client.put("/api/v1/journeys", headers=platform.admin, json={"a": 1})
    assert (response.status_code, response.json()) == (201, {"a": 1})
    assert response.headers["location"] == "/api/v1/journeys/j1"
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert response.headers["x-request-id"] != "theirs"
    assert platform.services["orchestrator"].seen[0].method == "PUT"


async def test_a_compressed_answer_is_passed_on_as_it_is(platform: Platform) -> None:
    packed = bytes.fromhex("1f8b08000000000002034b04004 3beb7e801000000".replace(" ", ""))

    async def compressed(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        start = [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(packed))]
        await send({"type": "http.response.start", "status": 200, "headers": start})
        await send({"type": "http.response.body", "body": packed})

    platform.services["profile"].answer = compressed
    async with platform.client.stream("GET", "/api/v1/profiles", headers=platform.admin) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert raw == packed


async def test_an_answer_flows_before_it_is_complete(platform: Platform) -> None:
    read = asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.wait_for(read.wait(), 10)
        await send({"type": "http.response.body", "body": b"second"})

    platform.services["tracking"].answer = slow
    async with platform.client.stream("GET", "/api/v1/events", headers=platform.admin) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        read.set()
        assert await anext(pieces) == b"second"


async def test_a_service_that_breaks_off_leaves_no_whole_looking_answer(platform: Platform) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        scope["app_breaks"] = True

    platform.services["tracking"].answer = broken
    with pytest.raises(httpx2.RemoteProtocolError):
        await platform.client.get("/api/v1/events", headers=platform.admin)


async def test_a_client_that_reads_no_further_ends_the_work_behind(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "STALL_SECONDS", 0.1)
    ended = asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        ended.set()

    platform.services["tracking"].answer = endless
    async with platform.client.stream("GET", "/api/v1/events", headers=platform.admin):
        await asyncio.wait_for(ended.wait(), 30)


async def test_a_client_that_leaves_ends_the_work_behind(platform: Platform) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        began.set()
        assert (await receive())["type"] == "http.disconnect"
        ended.set()

    platform.services["tracking"].answer = waiting
    call = asyncio.create_task(platform.client.get("/api/v1/events", headers=platform.admin))
    await asyncio.wait_for(began.wait(), 10)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 10)


async def test_bodies_are_capped_at_a_mebibyte(platform: Platform) -> None:
    for service, path in (("profile", "/api/v1/segments"), ("gateway", "/api/v1/sources")):
        for content in (b" " * (1024 * 1024 + 1), _chunks()):
            response = await platform.client.post(path, headers=platform.admin, content=content)
            assert response.status_code == 413
            assert response.json()["type"] == "/problems/body-too-large"
        assert service == "gateway" or platform.services[service].seen == []


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(17):
        yield b" " * 65536


async def test_answers_wear_safe_headers_unless_the_service_brings_its_own(
    platform: Platform,
) -> None:
    async def picture(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        await answer_json(send, 200, {}, (b"cache-control", b"max-age=60"))

    platform.services["orchestrator"].answer = picture
    headers = (await platform.client.get("/api/v1/maps", headers=platform.admin)).headers
    assert headers["cache-control"] == "max-age=60"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "access-control-allow-origin" not in headers
