"""Partners are told of changes: signed, in order, again until they have them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from fastapi import FastAPI, Request, Response

from services.kit.signature import signature
from services.profile.change_subscriptions import deliver
from services.profile.main import create_app
from services.tracking.log.commit import asyncpg_dsn
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database
from tests.support.serving import listening

pytestmark = pytest.mark.anyio
USER = ("user_id", "u1")


@dataclass
class Partner:
    """Answers with ``statuses`` in turn, then with 204; ``came`` counts requests."""

    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/hook")
        async def hook(request: Request) -> Response:
            async with self.came:
                self.requests.append((dict(request.headers), await request.body()))
                self.came.notify_all()
            return Response(status_code=self.statuses.pop(0) if self.statuses else 204)

        return app

    async def until(self, count: int) -> None:
        async with self.came, asyncio.timeout(10):
            await self.came.wait_for(lambda: len(self.requests) >= count)

    def items(self, number: int) -> list[dict[str, Any]]:
        return list(json.loads(self.requests[number][1])["items"])


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    fake = Partner()
    async with listening(fake.app()) as url:
        fake.url = f"{url}/hook"
        yield fake


@asynccontextmanager
async def allowing(
    database: Database, tracking: FakeTracking, clock: FakeClock, *, private: bool = True
) -> AsyncIterator[World]:
    wanted = settings(database, tracking).model_copy(
        update={"allow_private_subscriptions": private}
    )
    async with running(create_app(wanted, clock)) as client:
        yield World(client, tracking, uuid4())


@pytest.fixture
async def world(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock
) -> AsyncIterator[World]:
    async with allowing(profile_database, tracking, clock) as made:
        # Its consumer has to be there before anybody can be told of anything.
        await made.post(made.event(USER))
        yield made


async def subscribe(world: World, partner: Partner, **body: Any) -> dict[str, Any]:
    answer = await world.call("POST", "/api/v1/change-subscriptions", {"url": partner.url, **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def shown(world: World) -> dict[str, Any]:
    [one] = (await world.get("/change-subscriptions"))["items"]
    return dict(one)


async def becomes(world: World, **wanted: Any) -> dict[str, Any]:
    """The subscription, once it shows ``wanted``."""
    async with asyncio.timeout(10):
        while True:
            found = await shown(world)
            if all(found[key] == value for key, value in wanted.items()):
                return found
            await world.feed(wait=0.02)


async def test_a_partner_gets_signed_changes_of_the_types_it_asked_for(
    world: World, partner: Partner, clock: FakeClock
) -> None:
    made = await subscribe(world, partner, types=["profile.updated"])
    await world.post(world.event(USER), world.event(USER, type="identify", traits={"plan": "pro"}))
    await partner.until(1)
    headers, body = partner.requests[0]
    [item] = partner.items(0)
    assert (item["type"], item["data"]) == ("profile.updated", {"traits": {"plan": "pro"}})
    at = int(headers["webhook-timestamp"])
    assert at == int(clock.now().timestamp())
    assert headers["webhook-signature"] == signature(
        made["secret"], headers["webhook-id"], at, body
    )
    assert "secret" not in await shown(world)


async def test_what_was_not_taken_comes_again_unchanged_before_anything_else(
    world: World, partner: Partner, clock: FakeClock
) -> None:
    partner.statuses = [500]
    await subscribe(world, partner, types=["event"])
    await world.post(world.event(USER, name="First"))
    await becomes(world, attempts=1, last_answer="500")
    await world.post(world.event(USER, name="Second"))
    clock.advance(timedelta(seconds=6))
    await partner.until(3)
    (first, body), (again, same), (_, _) = partner.requests
    assert (first["webhook-id"], body) == (again["webhook-id"], same)
    assert [item["data"]["event"] for item in partner.items(2)] == ["Second"]
    assert (await becomes(world, attempts=0))["failing_since"] is None


async def test_what_was_erased_before_it_was_taken_does_not_hold_up_the_rest(
    world: World, partner: Partner, clock: FakeClock
) -> None:
    partner.statuses = [500]
    await subscribe(world, partner, types=["event"])
    mine = world.event(USER, name="First")
    await world.post(mine)
    await becomes(world, attempts=1, last_answer="500")
    path = f"/api/v1/profiles/{mine.subject_id}/erase"
    assert (await world.call("POST", path, {"reason": "requested"})).status_code == 202
    async with asyncio.timeout(10):
        while (await world.get("/changes", type="event"))["items"]:
            await world.feed(wait=0.02)
    await world.post(world.event(("user_id", "u2"), name="Second"))
    clock.advance(timedelta(seconds=6))
    await partner.until(2)
    assert [item["data"]["event"] for item in partner.items(1)] == ["Second"]


async def test_after_three_days_it_is_left_alone_until_somebody_resumes_it(
    world: World, partner: Partner, clock: FakeClock
) -> None:
    partner.statuses = [503, 503]
    made = await subscribe(world, partner, types=["event"])
    await world.post(world.event(USER, name="First"))
    await becomes(world, attempts=1)
    clock.advance(timedelta(days=3))
    await becomes(world, state="failed", attempts=2)
    path = f"/api/v1/change-subscriptions/{made['id']}"
    assert (await world.call("POST", f"{path}/resume")).json()["state"] == "active"
    await partner.until(3)
    assert partner.items(2) == partner.items(0)


async def test_a_pause_loses_nothing_and_the_past_may_be_had_too(
    world: World, partner: Partner
) -> None:
    made = await subscribe(world, partner, types=["event"], **{"from": "start"})
    await partner.until(1)
    path = f"/api/v1/change-subscriptions/{made['id']}"
    assert (await world.call("POST", f"{path}/pause")).json()["state"] == "paused"
    await world.post(world.event(USER, name="Meanwhile"))
    await world.call("POST", f"{path}/resume")
    await partner.until(2)
    assert [item["data"]["event"] for item in partner.items(1)] == ["Meanwhile"]
    assert (await world.call("DELETE", path)).status_code == 204
    assert (await world.call("DELETE", path)).status_code == 404
    assert (await world.call("POST", f"{path}/pause")).status_code == 404


async def test_an_address_that_is_not_public_is_never_reached(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock, partner: Partner
) -> None:
    async with allowing(profile_database, tracking, clock, private=False) as world:
        await world.post(world.event(USER))
        await subscribe(world, partner, types=["event"])
        await world.post(world.event(USER, name="First"))
        await becomes(world, last_answer="address not allowed")
    assert partner.requests == []


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("https://a..b/", "cannot be reached"),
        ("https://h:x/", "address not valid"),
        ("https://h/\r\nX: y", "address not valid"),
    ],
)
async def test_an_address_that_was_taken_once_and_can_be_none_holds_up_nobody(
    profile_database: Database,
    tracking: FakeTracking,
    clock: FakeClock,
    partner: Partner,
    url: str,
    answer: str,
) -> None:
    async with allowing(profile_database, tracking, clock, private=False) as world:
        await world.post(world.event(USER))
        await subscribe(world, partner, types=["event"])
        owner = await asyncpg.connect(asyncpg_dsn(profile_database.owner_dsn))
        await owner.execute("UPDATE change_subscription SET url = $1", url)
        await owner.close()
        await world.post(world.event(USER, name="First"))
        await becomes(world, last_answer=answer)
        await world.post(world.event(USER, name="Second"))


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"url": "http://partner.example.org"}, "#/url"),
        ({"url": "https://user@partner.example.org"}, "#/url"),
        ({"url": "https:///hook"}, "#/url"),
        ({"url": "ftp://localhost/hook"}, "#/url"),
        ({"url": "https://a..b/hook"}, "#/url"),
        ({"url": "https://partner.example.org", "types": ["profile.sold"]}, "#/types/0"),
        ({"url": "https://partner.example.org", "secret": "mine"}, "#/secret"),
    ],
)
async def test_a_wrong_subscription_is_refused_by_the_field(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    answer = await world.call("POST", "/api/v1/change-subscriptions", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_an_answer_that_drips_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "ANSWER_SECONDS", 0.2)
    gone = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 204 No Content\r\n")
        try:
            while await reader.read(65_536):
                writer.write(b"X-More: 1\r\n")
        finally:
            gone.set()
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await subscribe(world, Partner(url=f"http://127.0.0.1:{port}/hook"), types=["event"])
        await world.post(world.event(USER, name="First"))
        await becomes(world, attempts=1, last_answer="no answer in time")
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_workspace_has_no_more_than_twenty_also_of_calls_at_the_same_time(
    world: World, partner: Partner
) -> None:
    calls = (
        world.call("POST", "/api/v1/change-subscriptions", {"url": partner.url}) for _ in range(30)
    )
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*calls)])
    assert statuses == [201] * 20 + [422] * 10
