"""Journeys that are changed, paused and resumed while people are inside."""

from typing import Any

import pytest

from services.kit.postgres import workspace_tx
from services.orchestrator.engine import participant_store
from tests.orchestrator.conftest import World
from tests.orchestrator.engine.test_acting import journey, node, told
from tests.orchestrator.journeys.graphs import delay, leave, wait

pytestmark = pytest.mark.anyio


async def inside(world: World, graph: dict[str, Any], people: int = 1) -> str:
    """A published journey with people who rest at its first node."""
    journey_id = await world.publish(graph)
    world.feed(*(world.event(world.person(), "Viewed") for _ in range(people)))
    await world.settle()
    return journey_id


async def republish(world: World, journey_id: str, graph: dict[str, Any], **body: Any) -> None:
    path = f"/api/v1/journeys/{journey_id}"
    assert (await world.client.put(path, json={"graph": graph})).status_code == 200
    await world.post(f"/journeys/{journey_id}/publish", body)
    world.clock.advance(seconds=0.1)
    await world.settle()


async def stats(world: World, journey_id: str, **query: Any) -> Any:
    found = await world.get(f"/journeys/{journey_id}/stats", **query)
    assert found["entered"] + found["moved_in"] == (
        found["waiting"] + found["exited"] + found["moved_out"]
    )
    for each in found["nodes"].values():
        assert each["entered"] == each["waiting"] + each["passed"] + each["exited"]
    return found


def waits(*more: dict[str, Any], seconds: int = 60) -> Any:
    """A delay, then an event is told."""
    return journey(delay(seconds, "emit"), node("emit", event="E"), *more)


async def test_without_a_wish_everybody_finishes_the_version_they_entered(world: World) -> None:
    journey_id = await inside(world, waits())
    await republish(world, journey_id, journey(delay(5, "end")))
    world.clock.advance(seconds=60)
    await world.settle()
    assert len(world.neighbours.calls) == 1
    assert (await stats(world, journey_id, version=1))["exits"] == {"end": 1}


async def test_those_inside_go_on_in_the_new_version_where_they_are(world: World) -> None:
    journey_id = await inside(world, waits(), people=3)
    graph = waits()
    graph["nodes"][1]["event"] = "F"
    await republish(world, journey_id, graph, in_flight="migrate")
    first, second = [await stats(world, journey_id, version=n) for n in (1, 2)]
    assert (first["waiting"], first["moved_out"], second["moved_in"]) == (0, 3, 3)
    assert second["nodes"]["delay"]["waiting"] == 3
    world.clock.advance(seconds=60)
    await world.settle()
    assert [call["event"] for call in world.neighbours.calls] == ["F"] * 3
    assert (await stats(world, journey_id))["exits"] == {"end": 3}
    assert (await stats(world, journey_id, version=2))["exited"] == 3


async def test_a_deleted_step_hands_its_people_on_and_never_fails_them(world: World) -> None:
    graph = journey(delay(60, "wait"), {**wait(60, on_event="end"), "on_timeout": "lost"})
    graph["nodes"].append(leave("lost"))
    journey_id = await inside(world, graph)
    left = {**graph, "entry": {**graph["entry"], "next": "lost"}, "nodes": [leave("lost")]}
    await republish(world, journey_id, left, in_flight="migrate")
    assert (await stats(world, journey_id))["exits"] == {"lost": 1}
    assert [each["outcome"] for each in told(world, "Step Taken")] == ["moved"]


async def test_who_has_nowhere_to_go_leaves_with_that_reason(world: World) -> None:
    journey_id = await inside(world, journey(delay(60, "end")))
    graph = journey(delay(60, "out", id="other"), leave("out"))
    graph["nodes"] = [each for each in graph["nodes"] if each["id"] != "end"]
    await republish(world, journey_id, graph, in_flight="migrate")
    assert (await stats(world, journey_id))["exits"] == {"journey_changed": 1}


async def test_a_stopped_version_lets_everybody_out(world: World) -> None:
    journey_id = await inside(world, waits(), people=2)
    await republish(world, journey_id, waits(), in_flight="stop")
    assert (await stats(world, journey_id))["exits"] == {"version_stopped": 2}
    assert world.neighbours.calls == []


async def test_versions_that_were_skipped_are_walked_through(world: World) -> None:
    """Nobody is due between the second and the third: both moves are made at once."""
    journey_id = await inside(world, journey(delay(60, "end", id="a")))
    for name, came in (("b", "a"), ("c", "b")):
        graph = journey(delay(60, "end", id=name))
        path = f"/api/v1/journeys/{journey_id}"
        assert (await world.client.put(path, json={"graph": graph})).status_code == 200
        body = {"in_flight": "migrate", "redirects": {came: name}}
        await world.post(f"/journeys/{journey_id}/publish", body)
    await world.settle()
    [one] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert (one["version"], one["node"], one["state"]) == (3, "c", "waiting")
    await stats(world, journey_id, version=2)


async def test_a_shortened_delay_is_applied_at_the_rate_asked_for(world: World) -> None:
    journey_id = await inside(world, waits(seconds=3_600), people=4)
    world.clock.advance(seconds=600)
    body = {"in_flight": "migrate", "shortened": "apply", "per_minute": 2}
    await republish(world, journey_id, waits(seconds=60), **body)
    assert len(world.neighbours.calls) == 1
    for passed in (2, 3, 4):
        world.clock.advance(seconds=30)
        await world.settle()
        assert len(world.neighbours.calls) == passed
    assert (await stats(world, journey_id))["exits"] == {"end": 4}


async def test_an_awaited_event_is_heard_by_who_was_moved(world: World) -> None:
    first = journey(delay(60, "wait"), {**wait(600, on_event="end"), "on_timeout": "end"})
    journey_id = await inside(world, first)
    [one] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    changed = journey({**wait(600, on_event="end"), "on_timeout": "end"})
    await republish(world, journey_id, changed, in_flight="migrate")
    world.feed(world.event(one["profile_id"], "Done"))
    await world.settle()
    assert (await stats(world, journey_id, version=2))["nodes"]["wait"]["outcomes"] == {"case_0": 1}


async def test_an_executor_that_held_somebody_when_they_were_moved_writes_nothing(
    world: World,
) -> None:
    journey_id = await inside(world, waits())
    world.clock.advance(seconds=60)

    async def moved() -> None:
        world.neighbours.on_facts = None
        graph = journey(delay(600, "end", id="other"))
        path = f"/api/v1/journeys/{journey_id}"
        assert (await world.client.put(path, json={"graph": graph})).status_code == 200
        body = {"in_flight": "migrate", "redirects": {"delay": "other"}}
        await world.post(f"/journeys/{journey_id}/publish", body)
        await world.sweep()
        await world.execute()

    world.neighbours.on_facts = moved
    await world.settle()
    assert world.neighbours.calls == []
    assert (await stats(world, journey_id, version=2))["nodes"]["other"]["waiting"] == 1


async def test_a_preview_tells_what_becomes_of_whom(world: World) -> None:
    graph = journey(delay(60, "wait"), {**wait(60, on_event="end"), "on_timeout": "end"})
    journey_id = await inside(world, graph, people=2)
    draft = journey(delay(90, "end"))
    path = f"/api/v1/journeys/{journey_id}"
    assert (await world.client.put(path, json={"graph": draft})).status_code == 200
    preview = f"/journeys/{journey_id}/publish/preview"
    place = {"version": 1, "node": "delay", "people": 2}
    found = await world.post(preview)
    assert found["people"] == [{**place, "then": "finish", "to": None}]
    assert [(e["place"], e["change"]) for e in found["edits"]] == [
        ("delay", "changed"),
        ("wait", "removed"),
    ]
    migrate = {"in_flight": "migrate", "per_minute": 1}
    found = await world.post(preview, migrate)
    assert found["people"] == [{**place, "then": "retime", "to": "delay"}]
    assert found["seconds"] == 120
    found = await world.post(preview, {**migrate, "redirects": {"delay": "end"}})
    assert found["people"] == [{**place, "then": "move", "to": "end"}]
    found = await world.post(preview, {"in_flight": "stop"})
    assert found["people"] == [{**place, "then": "leave", "to": None}]
    assert (await stats(world, journey_id))["waiting"] == 2


@pytest.mark.parametrize(
    ("redirects", "said"),
    [
        ({"nowhere": "end"}, "No version that people may be in has such a node."),
        ({"delay": "nowhere"}, "The draft has no node 'nowhere'; null lets people out."),
    ],
)
async def test_redirects_name_nodes_there_are(
    world: World, redirects: dict[str, str], said: str
) -> None:
    journey_id = await inside(world, waits())
    body = {"in_flight": "migrate", "redirects": redirects}
    for path in ("publish", "publish/preview"):
        answer = await world.client.post(f"/api/v1/journeys/{journey_id}/{path}", json=body)
        assert answer.status_code == 422
        [error] = answer.json()["errors"]
        assert error == {"pointer": f"#/redirects/{next(iter(redirects))}", "detail": said}


# Pauses


async def test_who_is_due_in_a_pause_that_discards_leaves_and_others_stay(world: World) -> None:
    journey_id = await inside(world, waits())
    await world.post(f"/journeys/{journey_id}/pause", {"mode": "discard"})
    await world.settle()
    assert (await stats(world, journey_id))["waiting"] == 1
    world.clock.advance(seconds=60)
    await world.settle()
    assert (await stats(world, journey_id))["exits"] == {"journey_paused": 1}
    assert world.neighbours.calls == []


async def test_resuming_spreads_who_was_due_in_the_order_of_their_times(world: World) -> None:
    journey_id = await inside(world, waits(), people=1)
    for _ in range(2):
        world.clock.advance(seconds=1)
        world.feed(world.event(world.person(), "Viewed"))
        await world.settle()
    await world.post(f"/journeys/{journey_id}/pause")
    world.clock.advance(seconds=3_600)
    await world.settle()
    assert world.neighbours.calls == []
    await world.post(f"/journeys/{journey_id}/resume", {"per_minute": 2})
    await world.execute()
    await world.carry_out()
    assert world.neighbours.calls == [], "nobody goes before all have their times"
    for passed in (1, 2, 3):
        await world.settle()
        assert len(world.neighbours.calls) == passed
        world.clock.advance(seconds=30)
    entered = [each["messageId"].split(":")[0] for each in world.neighbours.calls]
    assert entered == sorted(entered)


async def test_a_pause_in_the_middle_of_resuming_holds_everybody_again(world: World) -> None:
    journey_id = await inside(world, waits(), people=2)
    await world.post(f"/journeys/{journey_id}/pause")
    world.clock.advance(seconds=60)
    await world.post(f"/journeys/{journey_id}/resume", {"per_minute": 1})
    await world.post(f"/journeys/{journey_id}/pause")
    world.clock.advance(seconds=600)
    await world.settle()
    assert world.neighbours.calls == []
    await world.post(f"/journeys/{journey_id}/resume")
    world.clock.advance(seconds=1)
    await world.settle()
    assert len(world.neighbours.calls) == 2


async def test_publishing_a_paused_journey_leaves_it_paused(world: World) -> None:
    journey_id = await inside(world, waits())
    await world.post(f"/journeys/{journey_id}/pause")
    world.clock.advance(seconds=60)
    await republish(world, journey_id, journey(delay(1, "end")), in_flight="migrate")
    assert (await world.get(f"/journeys/{journey_id}"))["state"] == "paused"
    await world.post(f"/journeys/{journey_id}/resume")
    await world.settle()
    assert (await stats(world, journey_id, version=2))["exits"] == {"end": 1}
    assert world.neighbours.calls == []


async def test_a_sweep_goes_over_all_however_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.sweeps.store.BLOCK", 2)
    due_at = world.clock.now + 60_000
    journey_id = await inside(world, waits(), people=5)
    await republish(world, journey_id, waits(), in_flight="migrate", per_minute=10_000_000)
    world.clock.advance(seconds=1)
    await world.settle()
    assert (await stats(world, journey_id, version=2))["waiting"] == 5
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        again = await participant_store.next_run_at(session, world.workspace_id)
    assert again == due_at
