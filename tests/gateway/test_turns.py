"""Workspaces take turns at ingestion: who floods it waits for itself alone."""

import asyncio
from uuid import uuid4

import pytest

from gateway import turns
from gateway.errors import TooManyRequests
from gateway.turns import REQUEST_BYTES, Turns
from tests.gateway.support import Platform, Seen, answer_json

pytestmark = pytest.mark.anyio

ONE, OTHER = uuid4(), uuid4()
BODY = 100_000


class Door:
    """Requests that stay in flight until they are let go."""

    def __init__(self, room: int) -> None:
        self.turns = Turns(room)
        self.entered: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, workspace: object, size: int = BODY) -> None:
        """Returns when the request is in flight or waits."""
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._pass(name, workspace, size))
        await self._settle()

    def end(self, name: str) -> None:
        """Its answer is there, but its task has not run yet."""
        self._ends[name].set()

    async def let_go(self, name: str) -> None:
        self.end(name)
        await self.tasks[name]
        await self._settle()

    async def give_up(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        await self._settle()

    async def _pass(self, name: str, workspace: object, size: int) -> None:
        async with self.turns.turn(workspace, size):  # type: ignore[arg-type]
            self.entered.append(name)
            await self._ends[name].wait()

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def room_for(requests: int) -> int:
    return requests * (BODY + REQUEST_BYTES)


async def test_what_fits_is_in_flight_at_once_and_the_rest_waits_in_its_order() -> None:
    door = Door(room_for(2))
    for name in ("a", "b", "c", "d"):
        await door.ask(name, ONE)
    assert door.entered == ["a", "b"]
    await door.let_go("b")
    assert door.entered == ["a", "b", "c"]
    await door.let_go("a")
    assert door.entered == ["a", "b", "c", "d"]


async def test_another_workspace_waits_for_one_turn_and_not_for_the_queue() -> None:
    door = Door(room_for(1))
    for name in ("a", "b", "c", "d"):
        await door.ask(name, ONE)
    await door.ask("other", OTHER)
    await door.let_go("a")
    await door.let_go("b")
    assert door.entered == ["a", "b", "other"]


async def test_a_body_larger_than_the_room_passes_alone() -> None:
    door = Door(room_for(1))
    await door.ask("a", ONE)
    await door.ask("large", OTHER, size=50 * BODY)
    assert door.entered == ["a"]
    await door.let_go("a")
    assert door.entered == ["a", "large"]


async def test_one_that_gives_up_holds_nobody_up() -> None:
    door = Door(room_for(1))
    await door.ask("a", ONE)
    await door.ask("gone", ONE)
    await door.ask("b", ONE)
    await door.give_up("gone")
    await door.let_go("a")
    assert door.entered == ["a", "b"]
    # In flight or waiting, nothing of it is left: the door is as wide as before.
    await door.give_up("b")
    await door.ask("c", ONE)
    assert door.entered[-1] == "c"


async def test_one_that_gives_up_while_its_turn_comes_passes_it_on() -> None:
    door = Door(room_for(1))
    for name in ("a", "gone", "b"):
        await door.ask(name, ONE)
    door.end("a")
    await door.give_up("gone")
    assert door.entered == ["a", "b"]


async def test_a_flood_is_told_to_come_back_and_the_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "WAITING_REQUESTS", 2)
    door = Door(room_for(1))
    for name in ("a", "b", "c", "d"):
        await door.ask(name, ONE)
    with pytest.raises(TooManyRequests) as refused:
        await door.tasks["d"]
    assert refused.value.headers == {"Retry-After": "2"}
    with pytest.raises(TooManyRequests):
        door.turns.check(ONE)
    door.turns.check(OTHER)
    await door.ask("other", OTHER)
    await door.let_go("a")
    await door.let_go("b")
    assert door.entered == ["a", "b", "other"]


async def test_who_waits_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.01)
    door = Door(room_for(1))
    await door.ask("a", ONE)
    await door.ask("late", ONE)
    with pytest.raises(TooManyRequests):
        await door.tasks["late"]
    await door.let_go("a")
    await door.ask("b", ONE)
    assert door.entered == ["a", "b"]


async def test_an_sdk_reads_429_as_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "WAIT_SECONDS", 0.05)
    hold = asyncio.Event()
    arrived = asyncio.Event()

    async def slow(scope: object, receive: object, send: object, seen: Seen) -> None:
        arrived.set()
        await hold.wait()
        await answer_json(send, 200, {"success": True})  # type: ignore[arg-type]

    platform.ingest.answer = slow
    body = {"batch": [{"type": "track", "userId": "u", "event": "x" * 600_000}]}
    first = asyncio.create_task(platform.post("/v1/batch", json=body))
    await arrived.wait()
    second = await platform.post("/v1/batch", json=body)
    hold.set()
    assert (await first).status_code == 200
    assert second.status_code == 429
    assert second.json()["code"] == "too_many_requests"
    assert int(second.headers["retry-after"]) > 0
