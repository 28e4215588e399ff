"""Opens and clicks of real mails, from the mail in the mailbox to the outcome told."""

import asyncio
import re
from email.message import Message
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from services.contracts.changes import Change
from services.contracts.orchestrator import ReceiptOutcome
from services.kit.postgres import workspace_tx
from services.orchestrator.receipts.tokens import TokenKey, Tracked
from tests.orchestrator.conftest import World
from tests.support.app import service_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

HTML = '<p><a href="https://shop.example/offer?a=1&amp;b=2">Offer</a> {{ unsubscribe_url }}</p>'
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


async def sent(world: World, purpose: str = "marketing", **channel: bool) -> tuple[str, str]:
    """A mail on its way; the id of its message and its html."""
    graph = await world.mail_graph(purpose=purpose)
    graph["nodes"][0]["channel_id"] = await world.email_channel(**channel)
    graph["nodes"][0]["template_id"] = await world.template(
        text="See https://shop.example/text", html=HTML
    )
    await world.publish(graph)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    mail = world.mailbox.messages[-1]
    [message] = await world.messages()
    return message["id"], part(mail, "html")


def part(mail: Message, kind: str) -> str:
    return str(mail.get_body((kind,)).get_content())  # type: ignore[attr-defined]


def paths(html: str) -> tuple[str, str]:
    """Those of the pixel and of the link."""
    [pixel] = re.findall(r"https://cx\.example\.org(/v1/o/[\w-]+)", html)
    [link] = re.findall(r"https://cx\.example\.org(/v1/c/[\w-]+)", html)
    return pixel, link


async def ask(
    world: World, path: str, method: str = "GET", agent: str = BROWSER
) -> tuple[int, str]:
    headers = service_headers("gateway", "orchestrator") | {"user-agent": agent}
    answer = await world.client.request(method, path, headers=headers)
    return answer.status_code, answer.headers.get("location") or answer.headers["content-type"]


async def receipts(world: World, message_id: str) -> list[tuple[str, str, int]]:
    found = (await world.get(f"/messages/{message_id}/receipts"))["items"]
    return [(each["kind"], each["key"], each["count"]) for each in found]


async def test_opens_and_clicks_are_told_once_and_counted_on(world: World) -> None:
    message_id, html = await sent(world)
    pixel, link = paths(html)
    for _ in range(3):
        assert await ask(world, pixel) == (200, "image/gif")
        assert await ask(world, link) == (302, "https://shop.example/offer?a=1&b=2")
        world.clock.advance(seconds=1)
        await world.recorder.flush()
    assert await receipts(world, message_id) == [("clicked", "0", 3), ("opened", "", 3)]
    await world.tell()
    told = [
        each
        for each in world.neighbours.outcomes
        if each.event in ("Message Opened", "Message Clicked")
    ]
    assert sorted(each.message_id for each in told) == [
        f"{message_id}:clicked:0",
        f"{message_id}:opened",
    ]
    said = [ReceiptOutcome.model_validate_json(each.properties, extra="forbid") for each in told]
    [click] = [each for each in said if each.url]
    assert (click.url, click.automated) == ("https://shop.example/offer?a=1&b=2", False)


async def test_programs_are_told_apart_from_people(world: World) -> None:
    message_id, html = await sent(world)
    pixel, link = paths(html)
    await ask(world, pixel, agent="Mozilla/5.0")
    await ask(world, pixel, agent="Mozilla/5.0")
    assert await ask(world, link, "HEAD") == (302, "https://shop.example/offer?a=1&b=2")
    await ask(world, pixel)
    await world.recorder.flush()
    found = (await world.get(f"/messages/{message_id}/receipts"))["items"]
    assert {(each["kind"], each["automated"], each["count"]) for each in found} == {
        ("opened", True, 2),
        ("opened", False, 1),
        ("clicked", True, 1),
    }
    assert {each["detail"].get("by") for each in found} == {"apple_mail_privacy", "head", None}


async def test_links_to_unsubscribe_stay_and_transactional_mail_is_left_alone(world: World) -> None:
    _, html = await sent(world)
    assert "https://cx.example.org/v1/unsubscribe/" in html
    assert "/v1/c/" in part(world.mailbox.messages[-1], "plain")


async def test_transactional_mail_is_tracked_only_where_its_channel_says_so(world: World) -> None:
    _, html = await sent(world, "transactional")
    assert "/v1/c/" not in html
    assert "/v1/o/" not in html
    assert "https://shop.example/text" in part(world.mailbox.messages[-1], "plain")


async def test_a_channel_says_what_is_tracked(world: World) -> None:
    _, html = await sent(world, "transactional", track_opens=True)
    assert "/v1/o/" in html
    assert "/v1/c/" not in html


@pytest.mark.parametrize("path", ["/v1/o/abc", "/v1/c/abc", "/v1/c/" + "A" * 300])
async def test_what_we_did_not_sign_leads_nowhere(world: World, path: str) -> None:
    assert await ask(world, path) == (404, "application/problem+json")
    await world.recorder.flush()


async def test_nobody_is_led_off_the_web(world: World) -> None:
    key = TokenKey("a key of this test run")
    token = key.clicked(Tracked(world.workspace_id, uuid4(), 0, "javascript:alert(1)"))
    assert (await ask(world, f"/v1/c/{token}"))[0] == 404


async def test_a_line_break_in_an_address_starts_no_header(world: World) -> None:
    key = TokenKey("a key of this test run")
    token = key.clicked(Tracked(world.workspace_id, uuid4(), 0, "https://a.example/\r\nX: y"))
    assert await ask(world, f"/v1/c/{token}") == (302, "https://a.example/%0D%0AX:%20y")


async def test_without_the_gateway_nothing_is_answered(world: World) -> None:
    _, html = await sent(world)
    answer = await world.client.get(paths(html)[0], headers={"Authorization": ""})
    assert answer.status_code == 401


async def test_messages_there_are_not_get_no_receipts(world: World) -> None:
    key = TokenKey("a key of this test run")
    await ask(world, f"/v1/o/{key.opened(world.workspace_id, uuid4())}")
    message_id, html = await sent(world)
    await ask(world, paths(html)[0])
    await world.recorder.flush()
    assert await receipts(world, message_id) == [("opened", "", 1)]
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        assert await session.scalar(text("SELECT count(*) FROM receipt")) == 1


async def test_of_somebody_erased_nothing_is_kept_any_more(world: World) -> None:
    message_id, html = await sent(world)
    pixel, _ = paths(html)
    await ask(world, pixel)
    await world.recorder.flush()
    [message] = await world.messages()
    person = message["profile_id"]
    world.feed(Change("profile.erased", person, world.clock.now))
    await world.follow()
    body = {"profile_ids": [person], "contacts": [], "position": 0}
    headers = service_headers("profile", "orchestrator", world.workspace_id)
    answer = await world.client.post("/internal/v1/erase", json=body, headers=headers)
    lines = {line["store"]: (line["erased"], line["left"]) for line in answer.json()["stores"]}
    assert lines["receipt"] == (1, 0)
    await ask(world, pixel)
    await world.recorder.flush()
    assert await receipts(world, message_id) == []


async def test_receipts_of_two_workspaces_are_written_each_in_its_own(world: World) -> None:
    message_id, html = await sent(world)
    key = TokenKey("a key of this test run")
    for _ in range(3):
        await ask(world, f"/v1/o/{key.opened(uuid4(), uuid4())}")
        await ask(world, paths(html)[0])
    await world.recorder.flush()
    assert await receipts(world, message_id) == [("opened", "", 3)]


async def test_what_cannot_be_written_waits(world: World, orchestrator_database: Database) -> None:
    message_id, html = await sent(world)
    await ask(world, paths(html)[0])
    owner = await asyncpg.connect(orchestrator_database.owner_dsn.replace("+asyncpg", ""))
    await owner.execute("ALTER TABLE receipt RENAME TO away")
    with pytest.raises(SQLAlchemyError):
        await world.recorder.flush()
    await owner.execute("ALTER TABLE away RENAME TO receipt")
    await owner.close()
    await world.recorder.flush()
    assert await receipts(world, message_id) == [("opened", "", 1)]


async def test_a_stop_writes_what_waits(world: World) -> None:
    message_id, html = await sent(world)
    running = asyncio.create_task(world.recorder.run())
    await asyncio.sleep(0)
    await ask(world, paths(html)[0])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await receipts(world, message_id) == [("opened", "", 1)]
