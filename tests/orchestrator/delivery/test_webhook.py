"""Webhooks against a real HTTP server: signed, repeated with one key, off private addresses."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2
import pytest
from fastapi import FastAPI, Request, Response

from services.kit.guard import AddressRefused, allowed, webhook_client
from services.kit.signature import key_of, signature
from services.orchestrator.delivery.port import Tools
from tests.orchestrator.conftest import World
from tests.support.serving import listening

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/hook")
        async def hook(request: Request) -> Response:
            self.requests.append((dict(request.headers), await request.body()))
            return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

        return app


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    fake = Receiver()
    async with listening(fake.app()) as url:
        fake.url = f"{url}/hook"
        yield fake


async def publish(world: World, url: str) -> str:
    channel = {"type": "webhook", "name": "Partner", "url": url, "secret": SECRET}
    node = {
        "id": "hook",
        "type": "webhook",
        "channel_id": (await world.post("/channels", channel))["id"],
        "payload": {"who": "{{ profile.user_id }}", "list": ["{{ event.properties.offer_id }}", 1]},
        "next": "end",
    }
    entry = {"kind": "event", "event": "Viewed", "next": "hook"}
    nodes = [node, {"id": "end", "type": "exit"}]
    journey_id = await world.publish({"name": "W", "entry": entry, "nodes": nodes})
    person = world.person(identifiers={"user_id": ["crm-1"]})
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    return journey_id


async def state(world: World) -> tuple[str, str | None, str]:
    [message] = await world.messages()
    return message["state"], message["reason"], message["id"]


async def test_a_request_is_signed_as_standard_webhooks_says(
    world: World, receiver: Receiver
) -> None:
    await publish(world, receiver.url)
    await world.send()
    [(headers, body)] = receiver.requests
    settled, _, message_id = await state(world)
    assert settled == "accepted"
    assert body == b'{"who":"crm-1","list":["o",1]}'
    assert headers["webhook-id"] == message_id
    assert headers["webhook-timestamp"] == str(world.clock.now // 1000)
    signed = f"{message_id}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_published_example_of_the_signature_holds() -> None:
    # https://www.standardwebhooks.com/ and its reference libraries' tests.
    message_id, timestamp, body = (
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert (
        signature(SECRET, message_id, timestamp, body)
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


async def test_a_failing_receiver_sees_the_same_id_again(world: World, receiver: Receiver) -> None:
    receiver.statuses = [503, 429]
    await publish(world, receiver.url)
    for _ in range(3):
        await world.send()
        world.clock.advance(seconds=61)
    assert (await state(world))[0] == "accepted"
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    assert len(receiver.requests) == 3


async def test_a_refusal_fails_at_once_and_redirects_are_not_followed(
    world: World, receiver: Receiver
) -> None:
    receiver.statuses = [302]
    await publish(world, receiver.url)
    await world.send()
    assert (await state(world))[:2] == ("failed", "http_302")
    assert len(receiver.requests) == 1


async def test_a_private_address_is_refused_where_the_settings_do_not_allow_it(
    world: World, receiver: Receiver
) -> None:
    guarded = webhook_client(allow_private=False)
    world.engine.sender._tools = Tools(guarded)
    await publish(world, receiver.url)
    await world.send()
    assert (await state(world))[:2] == ("failed", "address_not_allowed")
    assert receiver.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - an address that is refused
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[fec0::1]",
        "192.0.0.8",
        "224.0.0.1",
        "[fd00::1]",
    ],
)
async def test_no_spelling_of_an_inner_address_is_reached(host: str) -> None:
    async with webhook_client(allow_private=False) as client:
        with pytest.raises(httpx2.ConnectError) as refused:
            await client.post(f"http://{host}:9/")
    assert isinstance(refused.value.__cause__, AddressRefused | httpcore2.ConnectError)
    assert "public" in str(refused.value)


def test_public_addresses_are_allowed() -> None:
    assert all(
        allowed(ip_address(each)) for each in ("1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1")
    )


@pytest.mark.parametrize("secret", ["plain", "whsec_!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 100])
async def test_a_weak_or_malformed_secret_is_refused(world: World, secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64|bytes"):
        key_of(secret)
    body: dict[str, Any] = {"type": "webhook", "name": "x", "url": "https://x.example/"}
    response = await world.client.post("/api/v1/channels", json={**body, "secret": secret})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "#/secret")
