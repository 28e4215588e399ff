"""Web push against a push service that checks VAPID and a browser that decrypts."""

import json
from dataclasses import dataclass, field
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from services.kit.guard import webhook_client
from services.orchestrator.delivery.kinds.webpush import MAX_PLAIN_BYTES, decoded, encoded
from services.orchestrator.delivery.port import Tools, Way
from services.orchestrator.delivery.result import Result
from services.orchestrator.messages.model import Claimed
from tests.orchestrator.conftest import World
from tests.orchestrator.delivery.conftest import NOW, Bench
from tests.orchestrator.providers import Asked, Provider, Reply

pytestmark = pytest.mark.anyio

PATH = "/p/subscription-1"
CONTENT = {
    "subject": "你好",
    "text": "Your order left",
    "url": "https://shop.example/o",
    "data": {},
}
VAPID_TEXT = encoded((7).to_bytes(32, "big"))


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass
class Browser:
    """A subscription: its keys, and what it makes of a push."""

    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = b"0123456789abcdef"

    @property
    def keys(self) -> dict[str, str]:
        return {"p256dh": encoded(point(self.key)), "auth": encoded(self.auth)}

    def read(self, body: bytes) -> Any:
        plain = http_ece.decrypt(
            body, private_key=self.key, auth_secret=self.auth, version="aes128gcm"
        )
        return json.loads(plain)


def guard(audience: str, now: int = NOW) -> Any:
    """RFC 8292, section 4: the token is signed by the key that is named, for us, for a day."""

    def refuses(asked: Asked) -> Reply | None:
        scheme, _, rest = asked.headers["authorization"].partition(" ")
        parts = dict(each.strip().split("=", 1) for each in rest.split(","))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(parts["k"]))
        try:
            claims = jwt.decode(parts["t"], ECKey.import_key(key), algorithms=["ES256"]).claims
        except JoseError:
            return Reply(401)
        lasts = claims["exp"] - now / 1_000
        fine = scheme == "vapid" and claims["aud"] == audience and 0 < lasts <= 86_400
        return None if fine and claims["sub"] == "mailto:push@example.com" else Reply(401)

    return refuses


def opened(bench: Bench, provider: Provider, **more: Any) -> Way:
    provider.refuses = guard(provider.url)
    return bench.way(
        type="webpush",
        **{"subject": "mailto:push@example.com", "private_key": VAPID_TEXT, **more},
    )


def claimed(bench: Bench, provider: Provider, browser: Browser, **content: Any) -> Claimed:
    return bench.claim(f"{provider.url}{PATH}", {**CONTENT, **content}, device_keys=browser.keys)


CASES = {
    "taken": (Reply(201, None, {"location": "https://p/m/1"}), ("accepted", None)),
    "rate limit": (Reply(429, None, {"retry-after": "9"}), ("again", "rate_limited")),
    "gone": (Reply(410, "expired"), ("failed", 'dead_address: http_410: "expired"')),
    "unknown": (Reply(404), ("failed", "dead_address: http_404")),
    "too large": (Reply(413), ("failed", "http_413")),
    "bad request": (Reply(400), ("failed", "http_400")),
    "bad token": (Reply(401), ("again", "credentials_refused: http_401")),
    "other key": (Reply(403), ("failed", "http_403")),
    "away": (Reply(503), ("again", "http_503")),
    "broken": (Reply(500), ("unknown", "http_500")),
    "answer lost": (Reply(lost=True), ("unknown", "answer_lost: RemoteProtocolError")),
}


@pytest.mark.parametrize(("reply", "expected"), CASES.values(), ids=CASES)
async def test_what_push_services_say(
    bench: Bench, provider: Provider, reply: Reply, expected: tuple[str, str | None]
) -> None:
    provider.says(PATH, reply)
    result = await bench.send(opened(bench, provider), claimed(bench, provider, Browser()))
    assert (result.kind, result.reason) == expected
    assert result.provider_id == ("https://p/m/1" if result.kind == "accepted" else None)
    assert result.retry_at == (NOW + 9_000 if reply.status == 429 else None)


async def test_only_the_browser_reads_what_is_sent(bench: Bench, provider: Provider) -> None:
    provider.says(PATH, Reply(201))
    browser, way = Browser(), opened(bench, provider, ttl_seconds=60, urgency="high")
    claim = claimed(bench, provider, browser, data={"order": "7"})
    bench.held = False
    await bench.send(way, claim)
    bench.held = True
    assert (await bench.send(way, claim)).kind == "accepted"
    [asked] = provider.requests
    assert b"order" not in asked.body
    assert browser.read(asked.body) == {
        "message_id": str(claim.id),
        "title": "你好",
        "body": "Your order left",
        "url": "https://shop.example/o",
        "data": {"order": "7"},
    }
    with pytest.raises(http_ece.ECEException):
        Browser().read(asked.body)
    wanted = {"ttl": "60", "urgency": "high", "topic": claim.id.hex}
    assert {name: asked.headers[name] for name in wanted} == wanted
    assert asked.headers["content-encoding"] == "aes128gcm"


async def test_a_token_is_kept_and_made_anew_before_it_ends(
    bench: Bench, provider: Provider
) -> None:
    provider.says(PATH, Reply(201))
    way, claim = opened(bench, provider), claimed(bench, provider, Browser())
    for now in (NOW, NOW + 10 * 3_600_000, NOW + 11 * 3_600_000):
        provider.refuses = guard(provider.url, now)
        assert (await bench.send(way, claim, now)).kind == "accepted"
    first, second, third = (each.headers["authorization"] for each in provider.requests)
    assert first == second != third


async def test_the_largest_payload_fills_what_every_push_service_takes(
    bench: Bench, provider: Provider
) -> None:
    provider.says(PATH, Reply(201))
    way, browser = opened(bench, provider), Browser()
    claim = claimed(bench, provider, browser, text="")
    await bench.send(way, claim)
    room = MAX_PLAIN_BYTES - len(
        json.dumps(
            browser.read(provider.requests[0].body), ensure_ascii=False, separators=(",", ":")
        ).encode()
    )
    for size, kind in ((room, "accepted"), (room + 1, "failed")):
        result = await bench.send(way, claimed(bench, provider, browser, text="x" * size))
        assert result.kind == kind
    assert len(provider.requests[-1].body) == 4_096
    assert (result.reason or "").startswith("payload_too_large")


async def test_a_subscription_whose_keys_are_none_is_dead(bench: Bench, provider: Provider) -> None:
    keys = {"p256dh": "A" * 87, "auth": "A" * 22}
    claim = bench.claim(f"{provider.url}{PATH}", CONTENT, device_keys=keys)
    result = await bench.send(opened(bench, provider), claim)
    assert result == Result("failed", "dead_address: the keys of the subscription are none")
    assert provider.requests == bench.handed_over == []


@pytest.mark.parametrize("key", ["", "AAAA", encoded(b"1" * 31), "A" * 43, "!" * 43])
async def test_a_channel_needs_a_key(bench: Bench, key: str) -> None:
    with pytest.raises(ValueError, match="32 bytes in base64url are accepted"):
        bench.way(type="webpush", subject="mailto:push@example.com", private_key=key)


async def subscribed(world: World, provider: Provider, browser: Browser) -> None:
    """A person with a browser, and a push that is due."""
    channel = await world.post(
        "/channels",
        {
            "type": "webpush",
            "name": "Push",
            "subject": "mailto:push@example.com",
            "private_key": VAPID_TEXT,
        },
    )
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = channel["id"]
    await world.publish(graph)
    person = world.person()
    device = {
        "profile_id": str(person),
        "kind": "webpush",
        "subscription": {"endpoint": f"{provider.url}{PATH}", "keys": browser.keys},
    }
    assert (await world.client.put("/api/v1/devices", json=device)).status_code == 200
    world.feed(world.event(person, "Viewed", offer_id="o1"))


async def test_a_browser_that_is_gone_is_forgotten(world: World, provider: Provider) -> None:
    provider.says(PATH, Reply(410))
    await subscribed(world, provider, Browser())
    await world.settle()
    [message] = await world.messages()
    assert (message["state"], message["reason"]) == ("failed", "dead_address: http_410")
    assert (await world.get("/devices"))["items"] == []


async def test_a_browser_gets_what_its_person_is_sent(world: World, provider: Provider) -> None:
    provider.says(PATH, Reply(201))
    browser = Browser()
    await subscribed(world, provider, browser)
    await world.settle()
    [message] = await world.messages()
    assert message["state"] == "accepted"
    assert browser.read(provider.requests[0].body)["title"] == "About o1"
    assert len((await world.get("/devices"))["items"]) == 1


async def test_an_endpoint_inside_our_network_is_refused(world: World, provider: Provider) -> None:
    provider.says(PATH, Reply(201))
    async with webhook_client(allow_private=False) as guarded:
        world.engine.sender._tools = Tools(guarded, allow_private=True)
        await subscribed(world, provider, Browser())
        await world.settle()
    [message] = await world.messages()
    assert (message["state"], message["reason"]) == ("failed", "address_not_allowed")
    assert provider.requests == []


async def test_an_endpoint_in_the_clear_is_refused(world: World, provider: Provider) -> None:
    async with webhook_client(allow_private=False) as guarded:
        world.engine.sender._tools = Tools(guarded)
        await subscribed(world, provider, Browser())
        await world.settle()
    [message] = await world.messages()
    assert message["reason"] == "dead_address: the endpoint is not https"
