"""What providers say afterwards: believed when it is theirs, read, and never counted twice."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import text

from services.kit.postgres import SET_WORKSPACE, workspace_tx
from services.kit.signature import signature
from services.orchestrator.receipts.tokens import TokenKey
from services.orchestrator.times import from_ms
from tests.orchestrator.conftest import START, World
from tests.orchestrator.policies.test_sending import cap, put
from tests.orchestrator.providers import Provider, Reply
from tests.orchestrator.receipts.says import (
    PERMANENT,
    as_resend,
    as_sendgrid,
    as_twilio,
)
from tests.support.app import service_headers

pytestmark = pytest.mark.anyio

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
MAIL = {"from_address": "a@example.com"}
SID = "AC" + "0" * 32
Headers = dict[str, str]


def standard(prefix: str, secret: str = SECRET) -> Callable[[str, bytes, int], Headers]:
    def sign(_: str, body: bytes, now_s: int) -> Headers:
        signed = signature(secret, "msg_1", now_s, body)
        return {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": str(now_s),
            f"{prefix}-signature": f"v1,bm9wZQ== {signed}",
        }

    return sign


def sendgrid(_: str, body: bytes, now_s: int) -> Headers:
    signed = KEY.sign(str(now_s).encode() + body, ec.ECDSA(hashes.SHA256()))
    name = "x-twilio-email-event-webhook"
    return {
        f"{name}-signature": base64.b64encode(signed).decode(),
        f"{name}-timestamp": str(now_s),
    }


def twilio(url: str, body: bytes, _: int) -> Headers:
    """As Twilio's "Validating requests" shows it; the fields hold nothing to unquote."""
    fields = sorted(pair.split("=") for pair in body.decode().split("&"))
    signed = url + "".join(name + value for name, value in fields)
    digest = hmac.new(b"the-auth-token", signed.encode(), hashlib.sha1).digest()
    return {"x-twilio-signature": base64.b64encode(digest).decode()}


class Kind(NamedTuple):
    channel: dict[str, Any]
    sign: Callable[[str, bytes, int], Headers]
    delivered: Callable[[str], bytes]
    bounced: Callable[[str], bytes]
    asked: str
    """Where the provider is asked to send."""
    timed: bool = True


KINDS = {
    "resend": Kind(
        {"type": "resend", **MAIL, "api_key": "re_1", "webhook_secret": SECRET},
        standard("svix"),
        as_resend("email.delivered"),
        as_resend("email.bounced", bounce=PERMANENT),
        "/emails",
    ),
    "sendgrid": Kind(
        {"type": "sendgrid", **MAIL, "api_key": "SG.1", "webhook_public_key": PUBLIC},
        sendgrid,
        as_sendgrid("delivered"),
        as_sendgrid("bounce", type="bounce", reason="no such user"),
        "/v3/mail/send",
    ),
    "twilio": Kind(
        {
            "type": "twilio",
            "account_sid": SID,
            "from_number": "+15005550006",
            "auth_token": "the-auth-token",
        },
        twilio,
        as_twilio("delivered"),
        as_twilio("undelivered", ErrorCode="30005"),
        f"/2010-04-01/Accounts/{SID}/Messages.json",
        timed=False,
    ),
}


class Sent(NamedTuple):
    message_id: str
    channel: dict[str, Any]
    url: str
    """Where the provider calls."""


async def sent(world: World, provider: Provider, name: str, reply: Reply) -> Sent:
    kind = KINDS[name]
    provider.says(kind.asked, reply)
    channel = await world.post("/channels", {"name": "x", "base_url": provider.url, **kind.channel})
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = channel["id"]
    await world.publish(graph)
    person = world.person(identifiers={"email": ["p@example.com"], "phone": ["+15005550001"]})
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    [message] = await world.messages()
    url = channel["callback_url"]
    if name == "twilio":
        [asked] = provider.asked(kind.asked)
        assert asked.form["StatusCallback"] == f"{url}?message_id={message['id']}"
        url = asked.form["StatusCallback"]
    return Sent(message["id"], channel, url)


async def call(world: World, url: str, body: bytes, headers: Headers) -> int:
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    own = service_headers("gateway", "orchestrator")
    answer = await world.client.post(path, content=body, headers={**own, **headers})
    return answer.status_code


async def receipts(world: World, message_id: str) -> list[tuple[str, str]]:
    found = (await world.get(f"/messages/{message_id}/receipts"))["items"]
    return [(each["kind"], each["key"]) for each in found]


TAKEN = {
    "resend": Reply(200, {"id": "e1"}),
    "sendgrid": Reply(202),
    "twilio": Reply(201, {"sid": "SM1"}),
}


@pytest.mark.parametrize("name", KINDS)
async def test_what_is_the_providers_is_written_once(
    world: World, provider: Provider, name: str
) -> None:
    kind, found = KINDS[name], await sent(world, provider, name, TAKEN[name])
    body = kind.delivered(found.message_id)
    headers = kind.sign(found.url, body, START // 1_000)
    for _ in range(2):
        assert await call(world, found.url, body, headers) == 204
    assert await receipts(world, found.message_id) == [("delivered", "")]
    await world.tell()
    told = [each for each in world.neighbours.outcomes if each.event == "Message Delivered"]
    assert [each.message_id for each in told] == [f"{found.message_id}:delivered"]
    [message] = await world.messages()
    assert message["state"] == "accepted"


@pytest.mark.parametrize("name", KINDS)
async def test_what_is_not_the_providers_writes_nothing(
    world: World, provider: Provider, name: str
) -> None:
    kind, found = KINDS[name], await sent(world, provider, name, TAKEN[name])
    body, now_s = kind.delivered(found.message_id), START // 1_000
    good = kind.sign(found.url, body, now_s)
    tries: list[tuple[bytes, Headers]] = [
        (body, {}),
        (body + b" ", good),
        (kind.bounced(found.message_id), good),
        (b"", good),
        *((body, {**good, each: value}) for each in good for value in ("", "x", "v1,")),
        *((body, {k: v for k, v in good.items() if k != each}) for each in good),
    ]
    if kind.timed:
        tries += [(body, kind.sign(found.url, body, now_s + s)) for s in (-301, 301, -(10**9))]
    for changed, headers in tries:
        assert await call(world, found.url, changed, headers) == 401, (changed, headers)
    assert await receipts(world, found.message_id) == []
    assert await call(world, found.url, body, good) == 204


@pytest.mark.parametrize("name", ["sendgrid", "twilio"])
@pytest.mark.parametrize(("says", "state"), [("delivered", "accepted"), ("bounced", "failed")])
async def test_a_receipt_settles_what_nobody_knew(
    world: World, provider: Provider, name: str, says: str, state: str
) -> None:
    await put(world, caps=cap(1))
    kind, found = KINDS[name], await sent(world, provider, name, Reply(lost=True))
    [message] = await world.messages()
    assert message["state"] == "unknown"
    assert await counted(world) == 1
    body = getattr(kind, says)(found.message_id)
    headers = kind.sign(found.url, body, START // 1_000)
    assert await call(world, found.url, body, headers) == 204
    [message] = await world.messages()
    assert message["state"] == state
    await world.tell()
    name_told = {"accepted": "Message Sent", "failed": "Message Failed"}[state]
    assert [each.event for each in world.neighbours.outcomes].count(name_told) == 1
    assert await counted(world) == (state == "accepted")


async def counted(world: World) -> int:
    """How many messages caps count."""
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        found = await session.scalars(text("SELECT uses FROM cap_use"))
        return sum(map(len, found))


async def test_a_receipt_that_comes_before_the_answer_is_lost_settles_it_too(
    world: World, provider: Provider
) -> None:
    """The callback overtakes the answer, and the sender dies before it hears anything."""
    found = await sent(world, provider, "sendgrid", Reply(lost=True))
    kind = KINDS["sendgrid"]
    async with world.engine.maker.begin() as session:
        await session.execute(SET_WORKSPACE, {"workspace_id": str(world.workspace_id)})
        # As it was between the hand-over and the answer.
        await session.execute(
            text("UPDATE message SET state = 'handed_over', run_at = :at"),
            {"at": from_ms(world.clock.now - 1)},
        )
    body = kind.delivered(found.message_id)
    await call(world, found.url, body, kind.sign(found.url, body, START // 1_000))
    [message] = await world.messages()
    assert message["state"] == "handed_over"
    await world.send()
    [message] = await world.messages()
    assert message["state"] == "accepted"


async def test_the_receiver_of_a_webhook_answers_as_it_was_asked(
    world: World, provider: Provider
) -> None:
    provider.says("/hook", Reply(200, {}))
    channel = await world.post(
        "/channels",
        {"type": "webhook", "name": "x", "url": f"{provider.url}/hook", "secret": SECRET},
    )
    await world.publish(
        {
            "name": "Hook",
            "entry": {"kind": "event", "event": "Viewed", "next": "hook"},
            "nodes": [
                {
                    "id": "hook",
                    "type": "webhook",
                    "channel_id": channel["id"],
                    "payload": {"a": 1},
                    "next": "end",
                },
                {"id": "end", "type": "exit"},
            ],
        }
    )
    world.feed(world.event(world.person(), "Viewed"))
    await world.settle()
    [message] = await world.messages()
    bodies = [
        {"message_id": message["id"], "type": "delivered", "occurred_at": "2027-01-15T07:00:00Z"},
        {"message_id": message["id"], "type": "bounced", "bounce": "soft", "reason": "full"},
        {"message_id": message["id"], "type": "nonsense"},
        {"message_id": str(uuid4()), "type": "opened"},
        {"message_id": 7, "type": "opened"},
        "odd",
    ]
    body = json.dumps(bodies).encode()
    headers = standard("webhook")("", body, START // 1_000)
    assert await call(world, channel["callback_url"], body, headers) == 204
    found = (await world.get(f"/messages/{message['id']}/receipts"))["items"]
    assert {(each["kind"], each["key"], each["at"]) for each in found} == {
        ("delivered", "", "2027-01-15T07:00:00Z"),
        ("bounced", "soft:msg_1", "2027-01-15T08:00:00Z"),
    }
    odd = b"{"
    headers = standard("webhook")("", odd, START // 1_000)
    assert await call(world, channel["callback_url"], odd, headers) == 400


async def test_a_provider_speaks_of_its_own_channels_messages_only(
    world: World, provider: Provider
) -> None:
    found = await sent(world, provider, "resend", TAKEN["resend"])
    other = await world.post("/channels", {"name": "y", **KINDS["sendgrid"].channel})
    body = as_sendgrid("delivered")(found.message_id)
    headers = sendgrid("", body, START // 1_000)
    assert await call(world, other["callback_url"], body, headers) == 204
    assert await receipts(world, found.message_id) == []


async def test_without_a_secret_nothing_is_believed(world: World, provider: Provider) -> None:
    channel = await world.post(
        "/channels", {"name": "y", "type": "sendgrid", **MAIL, "api_key": "SG.1"}
    )
    body = as_sendgrid("delivered")(str(uuid4()))
    headers = sendgrid("", body, START // 1_000)
    assert await call(world, channel["callback_url"], body, headers) == 401


async def test_addresses_there_are_not(world: World) -> None:
    key, mail = TokenKey("a key of this test run"), await world.email_channel()
    channel = await world.get(f"/channels/{mail}")
    assert channel["callback_url"] is None
    for token in (
        "abc",
        key.opened(world.workspace_id, uuid4()),
        key.callback(world.workspace_id, uuid4()),
        key.callback(uuid4(), uuid4()),
    ):
        assert await call(world, f"/v1/callbacks/{token}", b"{}", {}) == 404


@pytest.mark.parametrize("bad", ["x", "AAAA", base64.b64encode(b"1" * 91).decode()])
async def test_a_verification_key_is_a_key(world: World, bad: str) -> None:
    body = {**KINDS["sendgrid"].channel, "name": "y", "webhook_public_key": bad}
    answer = await world.client.post("/api/v1/channels", json=body)
    assert answer.status_code == 422
