"""Races: leases that run out, timers against events, two of everything at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.contracts.changes import Change
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import leave, wait

pytestmark = pytest.mark.anyio


def once(world: World, during: Callable[[], Awaitable[None]]) -> None:
    """Do this while profile is being asked for facts, the first time only."""

    async def hook() -> None:
        world.neighbours.on_facts = None
        await during()

    world.neighbours.on_facts = hook


async def test_an_executor_whose_lease_ran_out_writes_nothing(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.follow()

    async def somebody_else() -> None:
        world.clock.advance(seconds=61)
        await world.execute()

    once(world, somebody_else)
    await world.execute()
    await world.settle()
    stats = await world.get(f"/journeys/{journey_id}/stats")
    assert stats["nodes"]["mail"]["outcomes"] == {"queued": 1}
    assert stats["exits"] == {"finished": 1}
    assert len(world.mailbox.messages) == 1


async def test_an_event_that_comes_while_the_timer_fires_decides_once(world: World) -> None:
    graph = await world.mail_graph()
    graph["entry"]["next"] = "wait"
    graph["nodes"] += [{**wait(60), "on_timeout": "mail"}, leave("yes")]
    journey_id = await world.publish(graph)
    person = world.person()
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.settle()
    in_time = world.clock.now + 30_000
    world.clock.advance(seconds=61)
    await world.follow()

    async def the_event_is_read() -> None:
        world.feed(world.event(person, "Done", at=in_time))
        await world.follow()

    once(world, the_event_is_read)
    await world.execute()
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"yes": 1}
    assert world.mailbox.messages == []


async def test_a_merge_while_a_step_is_taken_does_not_lose_the_person(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    loser, winner = world.person(), world.person()
    world.feed(world.event(loser, "Viewed", offer_id="o"))
    await world.follow()

    async def they_are_merged() -> None:
        data = {"merged_id": str(loser)}
        world.feed(Change("profile.merged", str(winner), world.clock.now, data))
        await world.follow()

    once(world, they_are_merged)
    await world.execute()
    world.clock.advance(seconds=61)
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"finished": 1}
    assert world.mailbox.recipients == [f"{winner}@example.com"]


async def test_executors_and_senders_side_by_side_do_everything_once(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    people = [world.person() for _ in range(300)]
    world.feed(*(world.event(person, "Viewed", offer_id="o") for person in people))
    await world.follow()
    await asyncio.gather(*(world.execute() for _ in range(3)))
    await asyncio.gather(*(world.send() for _ in range(3)))
    assert len(world.mailbox.recipients) == len(set(world.mailbox.recipients)) == 300
    stats = await world.get(f"/journeys/{journey_id}/stats")
    assert stats["exits"] == {"finished": 300}
