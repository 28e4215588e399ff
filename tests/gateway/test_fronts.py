"""Calls of front ends: a write key names the workspace, the service checks who is there."""

import pytest

from gateway.routing import Front, route
from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio

PATHS = ["/v1/inbox", "/v1/inbox/stream", "/v1/inbox/018f0000-0000-7000-8000-000000000000/read"]


@pytest.mark.parametrize("path", PATHS)
def test_an_inbox_is_the_orchestrators(path: str) -> None:
    assert route(path) == Front("orchestrator")


@pytest.mark.parametrize("path", ["/v1/inboxes", "/v1/inbox/a/b/c", "/v1/inbox/" + "a" * 65])
def test_what_is_no_inbox(path: str) -> None:
    assert route(path) is None


async def test_a_write_key_says_which_workspace(platform: Platform) -> None:
    key = platform.write_key
    answer = await platform.client.get(
        f"/v1/inbox?limit=5&writeKey={key}",
        headers={"X-Person-Token": "t", "Origin": "https://shop.example"},
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    [seen] = platform.services["orchestrator"].seen
    assert seen.target == "/v1/inbox?limit=5"
    assert seen.header("x-person-token") == "t"
    caller = seen.caller("orchestrator")
    assert caller.workspace == platform.workspace_id
    assert (caller.kind, caller.scopes) == ("user", frozenset({"front"}))


async def test_without_a_write_key_nothing_is_passed_on(platform: Platform) -> None:
    for headers in (
        {},
        {"X-Write-Key": "wk_no"},
        {"X-Write-Key": platform.secret_key},
    ):
        answer = await platform.client.get("/v1/inbox", headers=headers)
        assert answer.status_code in (401, 403)
    assert platform.services["orchestrator"].seen == []


async def test_a_browser_may_ask(platform: Platform) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-person-token,x-write-key",
    }
    answer = await platform.client.options("/v1/inbox", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-headers"] == "x-person-token,x-write-key"
