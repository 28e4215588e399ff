"""Channels over HTTP: what is secret never comes back."""

from uuid import uuid4

import pytest

from services.kit.postgres import workspace_tx
from services.orchestrator.channels import store
from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio

MAIL = {
    "type": "email",
    "name": "Mail",
    "host": "smtp.example.com",
    "port": 587,
    "username": "u",
    "password": "hunter2-secret",
    "from_address": "news@example.com",
}
HOOK = {
    "type": "webhook",
    "name": "Hook",
    "url": "https://partner.example/hook",
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.mark.parametrize("body", [MAIL, HOOK], ids=["email", "webhook"])
async def test_secrets_go_in_and_never_come_out(world: World, body: dict[str, str]) -> None:
    created = await world.client.post("/api/v1/channels", json=body)
    assert created.status_code == 201
    channel_id = created.json()["id"]
    seen = [
        created.text,
        (await world.client.get("/api/v1/channels")).text,
        (await world.client.get(f"/api/v1/channels/{channel_id}")).text,
    ]
    for text in seen:
        assert body["type"] in text
        assert "secret" not in text
        assert "hunter2" not in text
        assert "password" not in text


async def test_replacing_without_a_password_keeps_the_old_one(world: World) -> None:
    channel_id = (await world.post("/channels", MAIL))["id"]
    body = {k: v for k, v in MAIL.items() if k != "password"}
    replaced = await world.client.put(
        f"/api/v1/channels/{channel_id}", json={**body, "host": "other.example.com"}
    )
    assert replaced.json()["host"] == "other.example.com"
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        assert await store.keep_secrets(session, channel_id) == {"password": "hunter2-secret"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"port": 0}, "#/port"),
        ({"host": "a b"}, "#/host"),
        ({"from_address": "x@y\r\nBcc: z@example.com"}, "#/from_address"),
        ({"from_name": "a\nb"}, "#/from_name"),
        ({"tls": "maybe"}, "#/tls"),
        ({"unknown": 1}, "#/unknown"),
    ],
)
async def test_bad_fields_are_named(world: World, change: dict[str, object], pointer: str) -> None:
    response = await world.client.post("/api/v1/channels", json={**MAIL, **change})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_the_type_of_a_channel_stays(world: World) -> None:
    channel_id = (await world.post("/channels", MAIL))["id"]
    response = await world.client.put(f"/api/v1/channels/{channel_id}", json=HOOK)
    assert response.json()["errors"][0]["pointer"] == "#/type"


async def test_an_archived_channel_is_gone_for_new_journeys_only(world: World) -> None:
    graph = await world.mail_graph()
    await world.publish(graph)
    channel_id = graph["nodes"][0]["channel_id"]
    assert (await world.client.delete(f"/api/v1/channels/{channel_id}")).status_code == 204
    assert (await world.client.get(f"/api/v1/channels/{channel_id}")).status_code == 404
    created = await world.post("/journeys", {"graph": graph})
    assert created["problems"][0]["pointer"] == "#/graph/nodes/0/channel_id"
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert len(world.mailbox.messages) == 1


async def test_unknown_channels_are_a_404(world: World) -> None:
    response = await world.client.get(f"/api/v1/channels/{uuid4()}")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/channel-not-found")
