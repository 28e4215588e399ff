"""Replays over HTTP: past events in virtual time, delivered to sinks only, each message once."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.orchestrator import workers
from services.orchestrator.replay import store
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import branch, leave, wait

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
CLOCK = {"clock_until": "2000-01-01T00:00:00Z"}


def past(world: World, person: UUID, name: str, hour: int, **properties: Any) -> None:
    text = json.dumps(properties)
    serial = f"p{len(world.neighbours.past)}"
    world.neighbours.past.append((str(person), name, serial, hour * HOUR, text, "{}"))


async def draft(world: World, **channel: Any) -> tuple[str, dict[str, Any]]:
    """Viewed, not done within 72 hours: a mail; the journey's id and its graph."""
    graph = await world.mail_graph()
    graph["nodes"][0]["channel_id"] = await world.email_channel(**channel)
    graph["entry"]["next"] = "wait"
    answer = wait(72 * 3_600, on_event="completed", match={"offer_id": "offer_id"})
    graph["nodes"] += [{**answer, "on_timeout": "mail"}, leave("completed")]
    return (await world.post("/journeys", {"graph": graph}))["id"], graph


async def replay(world: World, journey_id: str, deliver: str, **body: Any) -> dict[str, Any]:
    response = await world.client.post(
        f"/api/v1/journeys/{journey_id}/replay", params={"deliver": deliver}, json=body
    )
    assert response.status_code == 202, response.text
    while await workers.replay_once(world.engine, world.workspace):
        pass
    return dict(await world.get(f"/journeys/{journey_id}/replays/{response.json()['id']}"))


def two_views(world: World) -> tuple[UUID, UUID]:
    done, open_ = world.person(), world.person()
    past(world, done, "Viewed", 1, offer_id="a")
    past(world, open_, "Viewed", 1, offer_id="a")
    past(world, done, "Done", 73, offer_id="a")
    past(world, open_, "Done", 74, offer_id="a")
    return done, open_


async def test_a_replay_counts_and_sends_nothing(world: World) -> None:
    journey_id, _ = await draft(world)
    two_views(world)
    found = await replay(world, journey_id, "none", **CLOCK)
    assert found["state"] == "completed"
    result = found["result"]
    assert (result["entered"], result["people"], result["completed"]) == (2, 2, 1)
    assert (result["reminded"], result["sends"], result["messages"]) == (1, 1, {})
    assert result["stats"]["nodes"]["wait"]["outcomes"] == {"case_0": 1, "timeout": 1}
    await world.settle()
    assert world.mailbox.messages == []
    assert await world.messages() == []
    assert (await world.get(f"/journeys/{journey_id}/stats"))["entered"] == 0


async def test_pages_of_any_size_give_the_same_numbers(world: World) -> None:
    journey_id, _ = await draft(world)
    two_views(world)
    whole = await replay(world, journey_id, "none", **CLOCK)
    world.neighbours.page_size = 1
    pages = await replay(world, journey_id, "none", **CLOCK)
    assert pages["result"] == whole["result"]


async def test_a_sink_gets_each_message_once_and_nothing_else_happens(world: World) -> None:
    journey_id, _ = await draft(world, sink=True)
    people = [world.person() for _ in range(120)]
    await world.follow()
    for person in people:
        past(world, person, "Viewed", 1, offer_id="a")
        past(world, person, "Viewed", 2, offer_id="a")
    found = await replay(world, journey_id, "sink", **CLOCK)
    assert (found["state"], found["result"]["messages"]) == ("delivering", {"queued": 120})
    await world.settle()
    assert sorted(world.mailbox.recipients) == sorted(f"{p}@example.com" for p in people)
    found = await world.get(f"/journeys/{journey_id}/replays/{found['id']}")
    assert (found["state"], found["result"]["messages"]) == ("completed", {"accepted": 120})
    assert world.neighbours.outcomes == []
    assert (await world.get(f"/journeys/{journey_id}/participants"))["items"] == []


async def test_a_replay_that_died_runs_again_and_still_sends_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey_id, _ = await draft(world, sink=True)
    two_views(world)
    await world.follow()
    before_the_end = asyncio.Event()

    async def dies(*args: Any, **kwargs: Any) -> None:
        before_the_end.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", dies)
        running = asyncio.create_task(replay(world, journey_id, "sink", **CLOCK))
        await before_the_end.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await world.settle()
    assert len(world.mailbox.messages) == 1
    world.clock.advance(seconds=601)
    assert await workers.replay_once(world.engine, world.workspace)
    await world.settle()
    assert len(world.mailbox.messages) == 1
    [found] = (await world.get(f"/journeys/{journey_id}/replays"))["items"]
    assert (found["state"], found["result"]["messages"]) == ("completed", {"accepted": 1})


async def test_repeating_the_call_with_its_key_starts_no_second_replay(world: World) -> None:
    journey_id, _ = await draft(world)
    header = {"Idempotency-Key": "demo"}
    one = await world.post(f"/journeys/{journey_id}/replay", {}, **header)
    two = await world.post(f"/journeys/{journey_id}/replay", {}, **header)
    assert one["id"] == two["id"]


async def test_a_replay_never_delivers_through_a_real_channel(world: World) -> None:
    journey_id, _ = await draft(world)
    path = f"/api/v1/journeys/{journey_id}/replay?deliver=sink"
    refused = await world.client.post(path, json={})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "#/graph/nodes/0/channel_id"
    for channel in (str(uuid4()), await world.email_channel()):
        refused = await world.client.post(path, json={"channel_id": channel})
        assert refused.json()["errors"][0]["pointer"] == "#/channel_id"
    sink = await world.email_channel(sink=True)
    two_views(world)
    await world.follow()
    found = await replay(world, journey_id, "sink", channel_id=sink, **CLOCK)
    [message] = await world.messages(replay_id=found["id"])
    assert message["channel_id"] == sink


async def test_rules_of_branches_see_events_as_of_the_virtual_time(world: World) -> None:
    often = {"event": "Done", "count": {"operator": ">=", "value": 2}}
    pro = {"field": "traits.plan", "operator": "=", "value": "pro"}
    node = branch("no", "yes")
    node["branches"][0]["rule"] = {"combinator": "and", "rules": [often, pro]}
    entry = {"kind": "event", "event": "Viewed", "instance_key": ["n"], "next": "branch"}
    graph = {"name": "B", "entry": entry, "nodes": [node, leave("yes"), leave("no")]}
    journey_id = (await world.post("/journeys", {"graph": graph}))["id"]
    pro_person, other = world.person(traits={"plan": "pro"}), world.person()
    for person in (pro_person, other):
        past(world, person, "Done", 1)
        past(world, person, "Viewed", 2, n=1)
        past(world, person, "Done", 3)
        past(world, person, "Viewed", 4, n=2)
    found = await replay(world, journey_id, "none", **CLOCK)
    assert found["result"]["stats"]["exits"] == {"yes": 1, "no": 3}


async def test_the_window_of_events_is_half_open(world: World) -> None:
    journey_id, _ = await draft(world)
    for hour in (1, 2, 3):
        past(world, world.person(), "Viewed", hour, offer_id="a")
    window = {"since": "1970-01-01T01:00:00Z", "until": "1970-01-01T03:00:00Z"}
    assert (await replay(world, journey_id, "none", **window))["result"]["entered"] == 2


async def test_a_replay_waits_for_tracking(world: World) -> None:
    journey_id, _ = await draft(world)
    two_views(world)
    world.neighbours.down.add("events")
    with pytest.raises(workers.TRANSIENT):
        await replay(world, journey_id, "none", **CLOCK)
    world.neighbours.down.clear()
    world.clock.advance(seconds=3)
    assert await workers.replay_once(world.engine, world.workspace)
    [found] = (await world.get(f"/journeys/{journey_id}/replays"))["items"]
    assert found["state"] == "completed"


async def test_a_replay_that_cannot_be_run_fails_and_says_so(world: World) -> None:
    journey_id, _ = await draft(world)
    past(world, world.person(), "Viewed", 1, offer_id="a")
    world.neighbours.refused.add("events")
    found = await replay(world, journey_id, "none", **CLOCK)
    assert (found["state"], found["result"]) == ("failed", None)
    assert "HTTPStatusError" in found["problem"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"since": "2020-01-01T00:00:00Z", "until": "2019-01-01T00:00:00Z"}, "#/until"),
        ({"since": "2020-01-01T00:00:00"}, "#/since"),
        ({"speed": 2}, "#/speed"),
    ],
)
async def test_bad_requests_name_the_field(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    journey_id, _ = await draft(world)
    refused = await world.client.post(f"/api/v1/journeys/{journey_id}/replay", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer
