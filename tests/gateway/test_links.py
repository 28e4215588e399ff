"""The links of messages: open to everybody, passed on to the service that checks their token."""

import httpx2
import pytest

from gateway.routing import Link, route
from tests.gateway.support import Platform

pytestmark = pytest.mark.anyio

TOKEN = "kgAB-_x9"


@pytest.mark.parametrize("kind", ["unsubscribe", "preferences", "confirm"])
def test_a_link_is_profiles_and_its_token_is_not_for_logs(kind: str) -> None:
    assert route(f"/v1/{kind}/{TOKEN}") == Link("profile", f"/v1/{kind}/…")


@pytest.mark.parametrize("kind", ["o", "c"])
def test_pixels_and_links_of_mails_are_the_orchestrators(kind: str) -> None:
    assert route(f"/v1/{kind}/{TOKEN}") == Link("orchestrator", f"/v1/{kind}/…")
    assert route(f"/v1/{kind}/{'a' * 4_000}") == Link("orchestrator", f"/v1/{kind}/…")
    assert route(f"/v1/{kind}/{'a' * 4_001}") is None
    assert route(f"/v1/{kind}") is None


async def test_a_providers_callback_keeps_its_body_and_signature(platform: Platform) -> None:
    path = f"/v1/callbacks/{TOKEN}?message_id=1"
    answer = await platform.client.post(path, content=b"a=%20", headers={"svix-id": "msg_1"})
    assert answer.status_code == 200
    [seen] = platform.services["orchestrator"].seen
    assert (seen.method, seen.target, seen.body) == ("POST", path, b"a=%20")
    assert seen.header("svix-id") == "msg_1"


async def test_whoever_follows_a_link_is_known_by_its_program_only(platform: Platform) -> None:
    headers = {"User-Agent": "Mozilla/5.0", "Sec-Purpose": "prefetch", "Cookie": "a=b"}
    answer = await platform.client.head(f"/v1/c/{TOKEN}", headers=headers)
    assert answer.status_code == 200
    [seen] = platform.services["orchestrator"].seen
    assert (seen.method, seen.target) == ("HEAD", f"/v1/c/{TOKEN}")
    assert seen.header("user-agent") == "Mozilla/5.0"
    assert seen.header("sec-purpose") == "prefetch"
    assert seen.header("cookie") is None


@pytest.mark.parametrize("path", ["", "/", f"/{TOKEN}/", f"/{TOKEN}/x", f"/{'a' * 1001}"])
def test_what_is_no_token_is_no_link(path: str) -> None:
    assert route(f"/v1/unsubscribe{path}") is None


async def test_one_click_needs_no_key_and_its_form_reaches_profile(platform: Platform) -> None:
    """As mailboxes send it (RFC 8058), with a workspace header that nobody may set."""
    answer = await platform.client.post(
        f"/v1/unsubscribe/{TOKEN}",
        data={"List-Unsubscribe": "One-Click"},
        headers={"X-Workspace-Id": "mine", "Authorization": "Bearer sk_x"},
    )
    assert answer.status_code == 200
    [seen] = platform.services["profile"].seen
    assert (seen.method, seen.target) == ("POST", f"/v1/unsubscribe/{TOKEN}")
    assert seen.body == b"List-Unsubscribe=One-Click"
    assert seen.header("x-workspace-id") is None
    caller = seen.caller("profile")
    assert (caller.kind, caller.subject, caller.workspace) == ("service", "link", None)


async def test_a_preference_page_of_any_origin_reads_and_writes(platform: Platform) -> None:
    path, origin = f"/v1/preferences/{TOKEN}", {"Origin": "https://shop.example"}
    ask = origin | {"Access-Control-Request-Method": "POST"}
    ask |= {"Access-Control-Request-Headers": "content-type"}
    allowed = await platform.client.options(path, headers=ask)
    answers: list[httpx2.Response] = [
        await platform.client.get(path, headers=origin),
        await platform.client.post(path, json={"non_personalised": True}, headers=origin),
    ]
    assert "POST" in allowed.headers["access-control-allow-methods"]
    for answer in (allowed, *answers):
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert len(platform.services["profile"].seen) == 2
