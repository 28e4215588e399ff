"""The links of messages over HTTP: unsubscribe, preferences, confirm; nobody logs in."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from services.contracts.profile import Facts, Links
from services.profile.consents.ledger import Place
from services.profile.consents.links import Link, LinkSigner
from tests.profile.conftest import World
from tests.support.app import service_headers

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
NOON = 1_700_000_000_000
EMAIL = {"purpose": "marketing", "channel": "email"}


async def public(world: World, method: str, path: str, **more: Any) -> httpx2.Response:
    """As the gateway passes on what needs no key."""
    world.clock.advance(timedelta(seconds=1))
    headers = service_headers("gateway", "profile")
    return await world.client.request(method, f"/v1/{path}", headers=headers, **more)


async def person(world: World, **properties: Any) -> str:
    event = world.event(USER, ("email", "a@x.org"), name="Consent Granted", at=NOON)
    event.properties = '{"purpose":"marketing"}'
    await world.post(event)
    return event.subject_id


async def links(world: World, profile_id: str, *purposes: str) -> Links:
    wanted = {"channel": "email", "purposes": list(purposes)}
    body = {"profile_ids": [profile_id], "links": wanted}
    answer = await world.call("POST", "/internal/v1/facts", body)
    [facts] = Facts.model_validate_json(answer.content).profiles
    assert facts.links is not None
    return facts.links


async def current(world: World, profile_id: str) -> Any:
    page = await world.get(f"/profiles/{profile_id}/consents")
    return {(c["purpose"], c["channel"]): c["state"] for c in page["contact_points"]}


async def group(world: World, **more: Any) -> str:
    body = {"names": {"en": "News", "zh": "新闻"}, "channels": ["email"], **more}
    return str((await world.call("POST", "/api/v1/subscription-groups", body)).json()["id"])


async def test_one_click_unsubscribes_and_looking_does_not(world: World) -> None:
    profile_id = await person(world)
    token = (await links(world, profile_id, "marketing")).unsubscribe["marketing"]
    shown = await public(world, "GET", f"unsubscribe/{token}")
    assert shown.json() == {**EMAIL, "group": None, "state": "granted"}
    assert world.tracking.said == 0
    done = await public(
        world, "POST", f"unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}
    )
    assert (done.status_code, done.json()) == (200, {"status": "unsubscribed"})
    [(said_before, told)] = world.tracking.withdrawals
    assert (said_before, told.purpose, told.channel) == (0, "marketing", "email")
    assert await current(world, profile_id) == {("marketing", "email"): "withdrawn"}
    [line, _] = (await world.get(f"/profiles/{profile_id}/consents"))["items"]
    assert (line["actor"], line["channel"]) == ("link", "email")


async def test_a_link_still_works_years_later_and_after_a_merge(world: World) -> None:
    anonymous = ("anonymous_id", "a1")
    before = world.event(anonymous, name="Consent Granted", at=NOON)
    before.properties = '{"purpose":"marketing"}'
    await world.post(before)
    token = (await links(world, before.subject_id, "marketing")).unsubscribe["marketing"]
    await world.post(world.event(USER, ("email", "a@x.org")))
    await world.post(world.event(USER, anonymous))
    world.clock.advance(timedelta(days=3 * 365))
    done = await public(world, "POST", f"unsubscribe/{token}")
    assert done.status_code == 200
    known = world.event(USER).subject_id
    assert await current(world, known) == {("marketing", "email"): "withdrawn"}


async def test_a_group_s_link_ends_the_group_alone_and_names_it(world: World) -> None:
    profile_id, group_id = await person(world), await group(world)
    purpose = f"group:{group_id}"
    await world.call(
        "PUT", f"/api/v1/profiles/{profile_id}/subscriptions/{group_id}", {"subscribed": True}
    )
    token = (await links(world, profile_id, purpose)).unsubscribe[purpose]
    shown = (await public(world, "GET", f"unsubscribe/{token}")).json()
    assert (shown["group"], shown["state"]) == ({"en": "News", "zh": "新闻"}, "granted")
    await public(world, "POST", f"unsubscribe/{token}")
    assert await current(world, profile_id) == {
        ("marketing", "email"): "granted",
        (purpose, "email"): "withdrawn",
    }


@pytest.mark.parametrize("kind", ["unsubscribe", "preferences", "confirm"])
async def test_forged_changed_and_foreign_tokens_do_nothing(world: World, kind: str) -> None:
    profile_id = await person(world)
    whose = (world.workspace_id, UUID(profile_id), Place("marketing", "email"))
    forged = LinkSigner("another key, as long").token(Link(kind, *whose))  # type: ignore[arg-type]
    mine = await links(world, profile_id, "marketing")
    other = mine.preferences if kind != "preferences" else mine.unsubscribe["marketing"]
    for token in (forged, other, other[:-1], "x", "%00", "é" * 50):
        for method in ("GET", "POST"):
            answer = await public(world, method, f"{kind}/{token}", json={})
            assert answer.status_code == 404, (token, answer.text)
            assert answer.json()["type"] == "/problems/link-not-valid"
    assert (world.tracking.said, world.tracking.withdrawals) == (0, [])


async def test_links_need_the_gateway_and_no_key_does(world: World) -> None:
    token = (await links(world, await person(world), "marketing")).preferences
    answers = [
        await world.client.get(f"/v1/preferences/{token}", headers=headers)
        for headers in ({}, world.user)
    ]
    assert [answer.status_code for answer in answers] == [401, 403]


async def test_a_preference_page_shows_groups_in_both_languages_and_changes_what_is_named(
    world: World,
) -> None:
    profile_id, group_id = await person(world), await group(world)
    path = f"preferences/{(await links(world, profile_id)).preferences}"
    shown = (await public(world, "GET", path)).json()
    news = {
        "group_id": group_id,
        "names": {"en": "News", "zh": "新闻"},
        "channels": ["email"],
        "double_opt_in": False,
    }
    assert shown == {
        "groups": [{**news, "state": None}],
        "purposes": {"marketing": "granted"},
        "non_personalised": False,
    }
    body = {"groups": {group_id: True}, "non_personalised": True}
    changed = await public(world, "POST", path, json=body)
    assert changed.json() == {
        "groups": [{**news, "state": "granted"}],
        "purposes": {"marketing": "granted"},
        "non_personalised": True,
    }
    body = {"groups": {group_id: False}, "purposes": {"marketing": False}}
    changed = await public(world, "POST", path, json=body)
    assert changed.json()["groups"][0]["state"] == "withdrawn"
    assert changed.json()["purposes"] == {"marketing": "withdrawn"}
    assert changed.json()["non_personalised"] is True
    changed = await public(world, "POST", path, json={"non_personalised": False})
    assert changed.json()["non_personalised"] is False


async def test_a_yes_on_the_page_undoes_an_unsubscribe_by_one_click(world: World) -> None:
    profile_id = await person(world)
    mine = await links(world, profile_id, "marketing")
    await public(world, "POST", f"unsubscribe/{mine.unsubscribe['marketing']}")
    path = f"preferences/{mine.preferences}"
    await public(world, "POST", path, json={"purposes": {"marketing": True}})
    assert await current(world, profile_id) == {("marketing", "email"): "granted"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"groups": {str(UUID(int=7)): True}}, f"#/groups/{UUID(int=7)}"),
        ({"purposes": {"admin": True, "marketing": False}}, "#/purposes/admin"),
        ({"groups": {"x": True}}, "#/groups"),
        ({"workspace_id": str(uuid4())}, "#/workspace_id"),
    ],
)
async def test_a_page_changes_only_what_it_shows_and_then_all_of_it_or_nothing(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    profile_id = await person(world)
    path = f"preferences/{(await links(world, profile_id)).preferences}"
    answer = await public(world, "POST", path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert (world.tracking.said, world.tracking.withdrawals) == (0, [])


async def test_a_double_opt_in_is_confirmed_by_its_link_once_and_in_time(world: World) -> None:
    profile_id, group_id = await person(world), await group(world, double_opt_in=True)
    purpose = f"group:{group_id}"
    subscription = f"/api/v1/profiles/{profile_id}/subscriptions/{group_id}"
    await world.call("PUT", subscription, {"subscribed": True})
    token = (await links(world, profile_id)).confirm[purpose]
    shown = await public(world, "GET", f"confirm/{token}")
    assert (shown.json()["purpose"], shown.json()["state"]) == (purpose, "pending")
    for _ in range(2):
        done = await public(world, "POST", f"confirm/{token}")
        assert (done.status_code, done.json()) == (200, {"status": "confirmed"})
    assert (await current(world, profile_id))[purpose, "email"] == "granted"
    assert (await links(world, profile_id)).confirm == {}
    world.clock.advance(timedelta(seconds=1))
    await world.call("PUT", subscription, {"subscribed": False})
    late = await public(world, "POST", f"confirm/{token}")
    assert late.status_code == 404
    assert (await current(world, profile_id))[purpose, "email"] == "withdrawn"
    world.clock.advance(timedelta(seconds=1))
    await world.call("PUT", subscription, {"subscribed": True})
    token = (await links(world, profile_id)).confirm[purpose]
    assert (await current(world, profile_id))[purpose, "email"] == "pending"
    world.clock.advance(timedelta(days=15))
    assert (await public(world, "POST", f"confirm/{token}")).status_code == 404
    token = (await links(world, profile_id)).confirm[purpose]
    assert (await public(world, "POST", f"confirm/{token}")).status_code == 200
    assert (await current(world, profile_id))[purpose, "email"] == "granted"
