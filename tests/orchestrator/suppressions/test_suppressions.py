"""Bounces and complaints close the gate at once, and what was withdrawn is told to profile."""

import json
from typing import Any
from uuid import uuid4

import pytest

from services.kit.signature import signature
from services.orchestrator.suppressions.store import SOFT_DAYS
from tests.orchestrator.conftest import World
from tests.orchestrator.providers import Provider, Reply
from tests.orchestrator.receipts.conftest import provider as provider
from tests.support.app import service_headers, user_headers

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ADDRESS = "p@example.com"


class Mailing:
    """A marketing journey through Resend, and what Resend says of its mails."""

    def __init__(self, world: World, callback_url: str) -> None:
        self.world = world
        self.path = callback_url.removeprefix("https://cx.example.org")
        self.serial = 0
        self.person = world.person(identifiers={"email": [ADDRESS]})

    async def send(self) -> dict[str, Any]:
        self.serial += 1
        self.world.feed(self.world.event(self.person, "Viewed", offer_id=str(self.serial)))
        await self.world.settle()
        return (await self.world.messages())[0]

    async def says(self, message: dict[str, Any], type_: str, **data: Any) -> None:
        self.serial += 1
        body = json.dumps(
            {"type": type_, "data": {"tags": {"message_id": message["id"]}, **data}}
        ).encode()
        now_s, name = self.world.clock.now // 1_000, f"msg_{self.serial}"
        headers = service_headers("gateway", "orchestrator") | {
            "svix-id": name,
            "svix-timestamp": str(now_s),
            "svix-signature": signature(SECRET, name, now_s, body),
        }
        answer = await self.world.client.post(self.path, content=body, headers=headers)
        assert answer.status_code == 204, answer.text

    async def bounces(self, message: dict[str, Any], type_: str = "Permanent") -> None:
        await self.says(message, "email.bounced", bounce={"type": type_, "message": "no"})


@pytest.fixture
async def mailing(world: World, provider: Provider) -> Mailing:
    provider.says("/emails", Reply(200, {"id": "e"}))
    channel = await world.post(
        "/channels",
        {
            "type": "resend",
            "name": "x",
            "from_address": "a@example.com",
            "api_key": "re_1",
            "base_url": provider.url,
            "webhook_secret": SECRET,
        },
    )
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = channel["id"]
    await world.publish(graph)
    return Mailing(world, channel["callback_url"])


async def suppressed(world: World) -> list[tuple[str, str]]:
    found = (await world.get("/suppressed-contacts"))["items"]
    return [(each["contact"], each["reason"]) for each in found]


async def test_a_hard_bounce_ends_it_at_once(mailing: Mailing) -> None:
    world = mailing.world
    await mailing.bounces(await mailing.send())
    assert await suppressed(world) == [(ADDRESS, "hard_bounce")]
    later = await mailing.send()
    assert (later["state"], later["reason"]) == ("skipped", "suppressed")
    assert world.neighbours.unsubscribed == []


async def test_what_is_queued_already_is_not_sent_any_more(mailing: Mailing) -> None:
    world, first = mailing.world, await mailing.send()
    world.feed(world.event(mailing.person, "Viewed", offer_id="queued"))
    await world.follow()
    await world.execute()
    await mailing.bounces(first)
    await world.send()
    [later, _] = await world.messages()
    assert (later["state"], later["reason"]) == ("skipped", "suppressed")


async def test_three_soft_bounces_in_a_row_are_too_many(mailing: Mailing) -> None:
    world = mailing.world
    for _ in range(2):
        await mailing.bounces(await mailing.send(), "Transient")
        world.clock.advance(seconds=1)
    assert await suppressed(world) == []
    third = await mailing.send()
    await mailing.bounces(third, "Transient")
    assert await suppressed(world) == [(ADDRESS, "soft_bounces")]


async def test_one_message_that_bounces_three_times_is_one(mailing: Mailing) -> None:
    message = await mailing.send()
    for _ in range(4):
        await mailing.bounces(message, "Transient")
    assert await suppressed(mailing.world) == []


async def test_a_delivery_between_soft_bounces_starts_anew(mailing: Mailing) -> None:
    world = mailing.world
    for delivered in (False, False, True, False, False):
        message = await mailing.send()
        if delivered:
            await mailing.says(message, "email.delivered")
        else:
            await mailing.bounces(message, "Transient")
        world.clock.advance(seconds=1)
    assert await suppressed(world) == []


async def test_soft_bounces_of_long_ago_do_not_count(mailing: Mailing) -> None:
    world = mailing.world
    for _ in range(2):
        await mailing.bounces(await mailing.send(), "Transient")
    world.clock.advance(seconds=SOFT_DAYS * 86_400 + 1)
    await mailing.bounces(await mailing.send(), "Transient")
    assert await suppressed(world) == []


async def test_a_complaint_suppresses_and_withdraws_and_profile_is_told_once(
    mailing: Mailing,
) -> None:
    world, message = mailing.world, await mailing.send()
    for _ in range(2):
        await mailing.says(message, "email.complained")
    assert await suppressed(world) == [(ADDRESS, "complaint")]
    await world.carry_out()
    token = message["content"]["unsubscribe_url"].rpartition("/")[2]
    assert world.neighbours.unsubscribed == [token]
    await world.post("/suppressed-contacts/lift", {"contact": ADDRESS})
    later = await mailing.send()
    assert (later["state"], later["reason"]) == ("skipped", "consent_withdrawn")


async def test_profile_that_knows_nobody_holds_nothing_up(mailing: Mailing) -> None:
    world, message = mailing.world, await mailing.send()
    token = message["content"]["unsubscribe_url"].rpartition("/")[2]
    world.neighbours.refused.add(token)
    await mailing.says(message, "email.complained")
    other = await mailing.send()
    await world.carry_out()
    assert world.neighbours.unsubscribed == []
    assert other["reason"] == "suppressed"


async def test_a_lifted_contact_point_is_sent_to_again(mailing: Mailing) -> None:
    world = mailing.world
    await mailing.bounces(await mailing.send())
    lifted = await world.post("/suppressed-contacts/lift", {"contact": ADDRESS})
    again = await world.post("/suppressed-contacts/lift", {"contact": ADDRESS})
    assert (lifted, again) == ({"lifted": True}, {"lifted": False})
    assert (await mailing.send())["state"] == "accepted"
    assert await suppressed(world) == []


async def test_an_address_that_the_server_does_not_know_is_suppressed(world: World) -> None:
    await world.publish(await world.mail_graph())
    person = world.person(identifiers={"email": [ADDRESS]})
    world.mailbox.rcpt = "550 5.1.1 no such user"
    world.feed(world.event(person, "Viewed", offer_id="1"))
    await world.settle()
    assert await suppressed(world) == [(ADDRESS, "dead_address")]
    world.mailbox.rcpt = None
    world.feed(world.event(person, "Viewed", offer_id="2"))
    await world.settle()
    [later, _] = await world.messages()
    assert later["reason"] == "suppressed"
    assert world.mailbox.messages == []


async def test_the_list_is_paged_and_of_one_workspace(mailing: Mailing) -> None:
    world = mailing.world
    people = sorted(f"{letter}@example.com" for letter in "abc")
    for address in people:
        mailing.person = world.person(identifiers={"email": [address]})
        await mailing.bounces(await mailing.send())
    first = await world.get("/suppressed-contacts", limit=2)
    rest = await world.get("/suppressed-contacts", limit=2, cursor=first["next_cursor"])
    assert [each["contact"] for each in first["items"] + rest["items"]] == people
    assert rest["next_cursor"] is None
    world.client.headers = user_headers("orchestrator", uuid4())
    assert await suppressed(world) == []
    assert await world.post("/suppressed-contacts/lift", {"contact": people[0]}) == {
        "lifted": False
    }


@pytest.mark.parametrize("body", [{}, {"contact": ""}, {"contact": "a", "b": 1}, {"contact": 7}])
async def test_bad_requests_are_problems(world: World, body: dict[str, Any]) -> None:
    answer = await world.client.post("/api/v1/suppressed-contacts/lift", json=body)
    assert answer.status_code == 422
    assert (await world.client.get("/api/v1/suppressed-contacts?cursor=x")).status_code == 422
