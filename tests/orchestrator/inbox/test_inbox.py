"""The inbox: delivered once, marked, followed, merged and erased."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.contracts.changes import Change
from services.kit.feeds import Bell
from services.kit.postgres import workspace_tx
from services.orchestrator.delivery.kinds.inbox import InboxWay
from services.orchestrator.inbox import stream
from services.orchestrator.receipts.tokens import TokenKey
from tests.orchestrator.conftest import World
from tests.support.app import service_headers, user_headers

pytestmark = pytest.mark.anyio

KEY = TokenKey("a key of this test run")


async def journey(world: World) -> None:
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = (
        await world.post("/channels", {"type": "inbox", "name": "App"})
    )["id"]
    graph["nodes"][0]["template_id"] = await world.template(
        subject="Offer {{ event.properties.offer_id }}",
        extras={"url": "https://shop.example/offer", "data": {"badge": "new"}},
    )
    await world.publish(graph)


async def delivered(world: World, person: UUID, *offers: str) -> None:
    world.feed(*(world.event(person, "Viewed", offer_id=each) for each in offers))
    await world.settle()


async def token(world: World, person: UUID) -> str:
    return str((await world.post("/inbox/tokens", {"profile_id": str(person)}))["token"])


async def call(
    world: World, token: str, path: str = "", method: str = "GET", **query: Any
) -> tuple[int, Any]:
    answer = await world.client.request(
        method, f"/v1/inbox{path}", headers={"X-Person-Token": token}, params=query
    )
    return answer.status_code, answer.json()


async def titles(world: World, person: UUID) -> list[str]:
    status, inbox = await call(world, await token(world, person))
    assert status == 200, inbox
    return [each["title"] for each in inbox["items"]]


async def test_a_message_lies_in_the_inbox_of_its_person_and_of_nobody_else(world: World) -> None:
    await journey(world)
    person, other = world.person(), world.person()
    await delivered(world, person, "1")
    status, inbox = await call(world, await token(world, person))
    assert (status, inbox["unread"], inbox["next_cursor"]) == (200, 1, None)
    [item] = inbox["items"]
    assert (item["title"], item["url"], item["data"]) == (
        "Offer 1",
        "https://shop.example/offer",
        {"badge": "new"},
    )
    [message] = await world.messages()
    assert (message["id"], message["state"]) == (item["id"], "accepted")
    their = await token(world, other)
    assert (await call(world, their))[1]["items"] == []
    for action in ("read", "click", "archive"):
        assert (await call(world, their, f"/{item['id']}/{action}", "POST"))[0] == 404
    assert (await call(world, await token(world, person)))[1]["unread"] == 1


async def test_a_crash_after_the_hand_over_delivers_it_later_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journey(world)
    person, reached = world.person(), asyncio.Event()
    world.feed(world.event(person, "Viewed", offer_id="1"))
    await world.follow()
    await world.execute()

    async def dies(self: InboxWay, claim: Any, hand_over: Any, now: int) -> Any:
        await hand_over(claim)
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(InboxWay, "send", dies)
        sending = asyncio.create_task(world.send())
        await reached.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert await titles(world, person) == []
    world.clock.advance(seconds=31)
    await world.settle()
    await world.settle()
    assert await titles(world, person) == ["Offer 1"]


async def test_reading_and_clicking_are_told_once(world: World) -> None:
    await journey(world)
    person = world.person()
    await delivered(world, person, "1")
    key = await token(world, person)
    item = (await call(world, key))[1]["items"][0]["id"]
    first = (await call(world, key, f"/{item}/read", "POST"))[1]
    world.clock.advance(seconds=5)
    for action in ("read", "click", "click"):
        status, marked = await call(world, key, f"/{item}/{action}", "POST")
        assert (status, marked["read_at"]) == (200, first["read_at"])
    assert (await call(world, key))[1]["unread"] == 0
    found = (await world.get(f"/messages/{item}/receipts"))["items"]
    assert {(each["kind"], each["key"]): each["count"] for each in found} == {
        ("opened", ""): 4,
        ("clicked", "0"): 2,
    }
    await world.tell()
    told = [each.event for each in world.neighbours.outcomes]
    assert (told.count("Message Opened"), told.count("Message Clicked")) == (1, 1)


async def test_what_is_put_away_is_in_no_list_and_not_unread(world: World) -> None:
    await journey(world)
    person = world.person()
    await delivered(world, person, "1", "2")
    key = await token(world, person)
    item = (await call(world, key))[1]["items"][0]
    for _ in range(2):
        assert (await call(world, key, f"/{item['id']}/archive", "POST"))[0] == 200
    inbox = (await call(world, key))[1]
    assert ([each["id"] for each in inbox["items"]].count(item["id"]), inbox["unread"]) == (0, 1)


async def test_pages_are_newest_first(world: World) -> None:
    await journey(world)
    person = world.person()
    for offer in "123":
        await delivered(world, person, offer)
    key = await token(world, person)
    first = (await call(world, key, limit=2))[1]
    rest = (await call(world, key, limit=2, cursor=first["next_cursor"]))[1]
    assert [each["title"] for each in first["items"]] == ["Offer 3", "Offer 2"]
    assert [each["title"] for each in rest["items"]] == ["Offer 1"]
    assert (rest["next_cursor"], rest["unread"]) == (None, 3)


async def test_only_a_persons_own_living_token_opens_an_inbox(world: World) -> None:
    person = world.person()
    good = await token(world, person)
    now_s = world.clock.now // 1_000
    bad = [
        "",
        "x",
        good[:-2],
        KEY.person(uuid4(), person, now_s + 60),
        KEY.person(world.workspace_id, person, now_s),
        KEY.opened(world.workspace_id, person),
        TokenKey("another key altogether").person(world.workspace_id, person, now_s + 60),
    ]
    for each in bad:
        for path in ("", "/stream"):
            assert (await call(world, each, path))[0] == 401, each
    assert (await call(world, good))[0] == 200
    assert (await world.client.get(f"/v1/inbox?person_token={good}")).status_code == 200
    world.clock.advance(seconds=3_600)
    assert (await call(world, good))[0] == 401


async def test_a_token_is_made_for_people_there_are(world: World) -> None:
    body = {"profile_id": str(uuid4())}
    answer = await world.client.post("/api/v1/inbox/tokens", json=body)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/profile-not-found")
    person, heir = world.person(), world.person()
    world.neighbours.people[person] = world.neighbours.people[heir].model_copy(
        update={"asked_id": person}
    )
    made = await world.post("/inbox/tokens", {"profile_id": str(person)})
    assert made["profile_id"] == str(heir)
    assert KEY.read_person(made["token"], world.clock.now // 1_000) == (world.workspace_id, heir)


async def test_a_merged_persons_messages_go_to_the_heir(world: World) -> None:
    await journey(world)
    loser, heir = world.person(), world.person()
    await delivered(world, heir, "1")
    await delivered(world, loser, "2", "3")
    data = {"merged_id": str(loser)}
    world.feed(Change("profile.merged", str(heir), world.clock.now, data))
    await world.follow()
    assert sorted(await titles(world, heir)) == ["Offer 1", "Offer 2", "Offer 3"]
    await delivered(world, heir, "4")
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        seqs = await session.scalars(text("SELECT seq FROM inbox_item ORDER BY seq"))
        assert list(seqs) == [1, 2, 3, 4]


async def test_of_somebody_erased_nothing_is_left(world: World) -> None:
    await journey(world)
    person, other = world.person(), world.person()
    await delivered(world, person, "1")
    await delivered(world, other, "2")
    body = {"profile_ids": [str(person)], "contacts": [], "position": 0}
    headers = service_headers("profile", "orchestrator", world.workspace_id)
    answer = await world.client.post("/internal/v1/erase", json=body, headers=headers)
    lines = {line["store"]: (line["erased"], line["left"]) for line in answer.json()["stores"]}
    assert lines["inbox_item"] == (1, 0)
    assert (await titles(world, person), await titles(world, other)) == ([], ["Offer 2"])


def events(piece: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in piece.decode().splitlines() if line)


async def some(source: AsyncIterator[bytes], number: int) -> list[dict[str, str]]:
    return [events(await anext(source)) for _ in range(number)]


async def test_a_stream_tells_what_comes_and_is_marked_and_goes_on_where_it_stopped(
    world: World,
) -> None:
    await journey(world)
    person, bell = world.person(), world.engine.sender._tools.inbox
    await delivered(world, person, "1")

    def follow(after: int | None) -> AsyncIterator[bytes]:
        return stream.events(world.engine.maker, bell, world.workspace_id, person, after)

    running = follow(None)
    assert (await some(running, 1))[0] == {"id": "1", "event": "ready", "data": "{}"}
    next_piece = asyncio.ensure_future(anext(running))
    await asyncio.sleep(0)
    await delivered(world, person, "2")
    item = events(await next_piece)
    assert (item["event"], json.loads(item["data"])["title"]) == ("item", "Offer 2")
    assert (await some(running, 1))[0] == {"event": "unread", "data": '{"unread": 2}'}
    await running.aclose()  # type: ignore[attr-defined]
    key = await token(world, person)
    await call(world, key, f"/{json.loads(item['data'])['id']}/read", "POST")
    again = follow(int(item["id"]))
    _, changed, unread = await some(again, 3)
    assert json.loads(changed["data"])["read_at"] is not None
    assert unread["data"] == '{"unread": 1}'
    await again.aclose()  # type: ignore[attr-defined]
    anew = follow(10_000)
    assert [each["event"] for each in await some(anew, 3)] == ["ready", "item", "item"]
    await anew.aclose()  # type: ignore[attr-defined]


async def test_a_quiet_stream_says_that_it_is_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.01)
    running = stream.events(world.engine.maker, Bell(), world.workspace_id, uuid4(), None)
    await anext(running)
    assert (await anext(running)).startswith(b":")
    await running.aclose()  # type: ignore[attr-defined]


async def test_a_stop_ends_streams_by_themselves(world: World) -> None:
    person = world.person()
    key = await token(world, person)
    asking = asyncio.create_task(
        world.client.get("/v1/inbox/stream", headers={"X-Person-Token": key})
    )
    bell = world.engine.sender._tools.inbox
    while not bell._events:  # noqa: ASYNC110 - until the stream waits
        await asyncio.sleep(0)
    bell.close()
    answer = await asking
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == "id: 0\nevent: ready\ndata: {}\n\n"


async def test_another_workspace_opens_no_inbox(world: World) -> None:
    key = await token(world, world.person())
    world.client.headers = user_headers("orchestrator", uuid4())
    assert (await call(world, key))[0] == 401
