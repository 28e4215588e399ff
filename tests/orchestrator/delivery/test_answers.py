"""Webhooks whose answer is waited for: captured into the context, or gone on without."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Response

from services.orchestrator.delivery.capture import capture
from services.orchestrator.delivery.kinds.webhook import KIND
from services.orchestrator.delivery.provider import MAX_ANSWER_BYTES
from tests.orchestrator.conftest import World
from tests.orchestrator.delivery.test_webhook import SECRET
from tests.support.serving import listening

pytestmark = pytest.mark.anyio


class Answering:
    """Answers every request with what is set."""

    def __init__(self) -> None:
        self.status, self.body, self.headers = 200, b"{}", dict[str, str]()
        self.url = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/hook")
        async def hook() -> Response:
            return Response(self.body, self.status, self.headers, "application/json")

        return app


@pytest.fixture
async def partner() -> AsyncIterator[Answering]:
    fake = Answering()
    async with listening(fake.app()) as url:
        fake.url = f"{url}/hook"
        yield fake


async def walked(
    world: World,
    url: str,
    *,
    purpose: str = "transactional",
    person: UUID | None = None,
    **more: Any,
) -> str:
    """A journey that asks the partner for a coupon and mails it, with one person in it."""
    channel = {"type": "webhook", "name": "Partner", "url": url, "secret": SECRET}
    hook = {
        "id": "hook",
        "type": "webhook",
        "channel_id": (await world.post("/channels", channel))["id"],
        "capture": {"coupon": "data.code"},
        "timeout_seconds": 600,
        "on_failure": "sorry",
        "next": "mail",
        **more,
    }
    mail = {
        "id": "mail",
        "type": "message",
        "channel_id": await world.email_channel(),
        "template_id": await world.template(subject="Your code {{ context.coupon }}"),
        "next": "end",
    }
    ends = [{"id": each, "type": "exit", "reason": each} for each in ("end", "sorry")]
    entry = {"kind": "event", "event": "Viewed", "next": "hook"}
    nodes = [hook, mail, *ends]
    graph = {"name": "W", "entry": entry, "purpose": purpose, "nodes": nodes}
    journey_id = await world.publish(graph)
    world.feed(world.event(person or world.person(), "Viewed"))
    await world.settle()
    return journey_id


async def exits(world: World, journey_id: str) -> dict[str, int]:
    return dict((await world.get(f"/journeys/{journey_id}/stats"))["exits"])


async def test_what_the_answer_says_is_read_by_later_messages(
    world: World, partner: Answering
) -> None:
    partner.body = json.dumps({"data": {"code": "SPRING-7", "other": "x" * 5_000}}).encode()
    journey_id = await walked(world, partner.url)
    await world.settle()
    [mail] = world.mailbox.messages
    assert mail["subject"] == "Your code SPRING-7"
    assert await exits(world, journey_id) == {"end": 1}


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (422, 1), (500, KIND.max_attempts)])
async def test_who_waits_for_an_answer_that_fails_for_good_goes_the_way_of_failure(
    world: World, partner: Answering, status: int, tries: int
) -> None:
    partner.status = status
    journey_id = await walked(world, partner.url, timeout_seconds=86_400)
    for _ in range(tries - 1):
        assert await exits(world, journey_id) == {}
        world.clock.advance(seconds=400)
        await world.settle()
    await world.settle()
    assert await exits(world, journey_id) == {"sorry": 1}


async def test_an_answer_that_comes_after_the_timeout_moves_nobody(
    world: World, partner: Answering
) -> None:
    partner.status = 503
    journey_id = await walked(world, partner.url)
    world.clock.advance(seconds=601)
    await world.execute()
    assert await exits(world, journey_id) == {"sorry": 1}
    partner.status = 200
    await world.settle()
    assert await exits(world, journey_id) == {"sorry": 1}
    assert world.mailbox.messages == []


async def test_a_webhook_of_which_nothing_can_be_made_is_one_that_failed(world: World) -> None:
    broken = {"a": "{{ 1 | divided_by: 0 }}"}
    journey_id = await walked(world, "https://partner.example/", payload=broken)
    assert await exits(world, journey_id) == {"sorry": 1}


async def test_a_webhook_that_the_gate_bars_is_one_that_failed(
    world: World, partner: Answering
) -> None:
    stranger = world.neighbours.person()
    journey_id = await walked(world, partner.url, purpose="marketing", person=stranger)
    await world.settle()
    [message] = await world.messages()
    assert (message["state"], message["reason"]) == ("skipped", "no_consent")
    assert await exits(world, journey_id) == {"sorry": 1}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a":{"b":"x"}}', {"n": "x"}),
        (b'{"a":{"b":7}}', {"n": 7}),
        (b'{"a":{"b":false}}', {"n": False}),
        (b'{"a":{"b":1.5}}', {"n": 1.5}),
        (b'{"a":{"b":null}}', {}),
        (b'{"a":{"b":{"c":1}}}', {}),
        (b'{"a":{"b":[1]}}', {}),
        (b'{"a":{"b":"' + b"x" * 2_001 + b'"}}', {}),
        (b'{"a":{"b":"\\u0000"}}', {}),
        (b'{"a":{"b":99999999999999999999}}', {}),
        (b'{"a":{"b":1e999}}', {}),
        (b'{"a":7}', {}),
        (b"[1]", {}),
        (b"not json", {}),
        (b"", {}),
        (b"\xff\xfe", {}),
        (b"[" * 100_000, {}),
    ],
)
def test_only_texts_numbers_and_truths_are_captured(body: bytes, found: dict[str, Any]) -> None:
    assert capture(body, {"n": "a.b"}) == found


@pytest.mark.parametrize(
    ("size", "headers"),
    [(MAX_ANSWER_BYTES + 1, {}), (10, {"content-encoding": "gzip"})],
    ids=["large", "packed"],
)
async def test_an_answer_that_may_be_a_bomb_is_taken_and_not_read(
    world: World, partner: Answering, size: int, headers: dict[str, str]
) -> None:
    partner.body = b'{"data":{"code":"' + b"x" * size + b'"}}'
    partner.headers = headers
    await walked(world, partner.url)
    await world.settle()
    [mail] = world.mailbox.messages
    assert mail["subject"].strip() in ("Your code", "Your code " + "x" * 10)
