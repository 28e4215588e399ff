"""People moved by hand: counted and told like every other step, and each time with who and why."""

from typing import Any

import pytest

from services.kit.postgres import workspace_tx
from services.orchestrator.engine import participant_store
from tests.orchestrator.conftest import World
from tests.orchestrator.engine.test_acting import journey, node, told
from tests.orchestrator.engine.test_versions import inside, stats, waits
from tests.orchestrator.journeys.graphs import delay, leave

pytestmark = pytest.mark.anyio

QUIET = {"start": "21:00", "end": "08:00", "spread_minutes": 0}
AT_NIGHT = {"version": 0, "document": {"quiet_hours": QUIET, "default_zone": "Asia/Shanghai"}}


async def intervene(
    world: World, journey_id: str, action: str, who: Any, headers: Any = None, **more: Any
) -> Any:
    body = {"action": action, "who": who, "reason": "By hand.", **more}
    path = f"/journeys/{journey_id}/interventions"
    return await world.post(path, body, **(headers or {}))


async def test_people_leave_and_what_waits_for_them_is_skipped(world: World) -> None:
    graph = journey(delay(60, "emit"), node("emit", event="E"))
    journey_id = await inside(world, graph, people=3)
    found = await world.get(f"/journeys/{journey_id}/participants")
    chosen = [each["profile_id"] for each in found["items"][:2]]
    done = await intervene(world, journey_id, "exit", {"profile_ids": chosen})
    assert (done["people"], done["more"]) == (2, False)
    await world.settle()
    assert (await stats(world, journey_id))["exits"] == {"removed": 2}
    exits = [each["outcome"] for each in told(world, "Journey Exited")]
    assert exits == ["removed"] * 2
    world.clock.advance(seconds=60)
    await world.settle()
    assert len(world.neighbours.calls) == 1


async def test_a_message_that_is_held_for_who_is_removed_is_not_sent(world: World) -> None:
    await world.client.put("/api/v1/policies", json=AT_NIGHT)
    world.clock.advance(seconds=14 * 3_600)
    graph = await world.mail_graph()
    graph["nodes"][0]["next"] = "later"
    graph["nodes"].insert(1, delay(86_400, "end", id="later"))
    journey_id = await world.publish(graph)
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    assert [each["state"] for each in await world.messages()] == ["held"]
    await intervene(world, journey_id, "exit", {"node": "later"})
    [message] = await world.messages()
    assert (message["state"], message["reason"]) == ("skipped", "exited: removed")


async def test_people_are_moved_to_another_node_where_their_version_has_it(world: World) -> None:
    journey_id = await inside(world, waits())
    graph = journey(delay(60, "emit"), node("emit", "other", event="E"), leave("other"))
    graph["nodes"] = [each for each in graph["nodes"] if each["id"] != "end"]
    path = f"/api/v1/journeys/{journey_id}"
    assert (await world.client.put(path, json={"graph": graph})).status_code == 200
    await world.post(f"/journeys/{journey_id}/publish")
    world.feed(world.event(world.person(), "Viewed"))
    await world.settle()
    done = await intervene(world, journey_id, "move", {"node": "delay"}, to="other")
    assert (done["people"], done["passed_over"]) == (1, 1)
    await world.settle()
    found = await stats(world, journey_id)
    assert (found["waiting"], found["exits"]) == (1, {"other": 1})
    assert found["nodes"]["delay"]["outcomes"] == {"moved": 1}


async def test_the_stuck_are_found_and_looked_at_again(world: World) -> None:
    journey_id = await inside(world, waits(), people=2)
    world.clock.advance(seconds=120)
    async with workspace_tx(world.engine.maker, world.workspace_id) as session:
        # As if whoever holds them had died with a lease without end.
        locked = await participant_store.lock_due(
            session, world.workspace_id, now=world.clock.now, known_until=world.clock.now, limit=1
        )
        await participant_store.lease(session, world.workspace_id, locked, 1 << 42)
    await world.settle()
    assert (await stats(world, journey_id))["waiting"] == 1
    overdue = {"overdue_seconds": 30}
    would = await intervene(world, journey_id, "retry", overdue, dry_run=True)
    assert (would["dry_run"], would["people"]) == (True, 1)
    await intervene(world, journey_id, "retry", overdue)
    await world.settle()
    assert (await stats(world, journey_id))["exits"] == {"end": 2}


async def test_what_was_done_is_kept_and_done_once(world: World) -> None:
    journey_id = await inside(world, waits(), people=2)
    headers = {"Idempotency-Key": "k"}
    done = await intervene(world, journey_id, "exit", {"version": 1}, headers)
    again = await intervene(world, journey_id, "exit", {"version": 1}, headers)
    assert again == done
    assert done["by"]
    listed = (await world.get(f"/journeys/{journey_id}/interventions"))["items"]
    assert listed == [done]
    assert not done["dry_run"]
    assert (listed[0]["reason"], listed[0]["people"]) == ("By hand.", 2)
    assert (await intervene(world, journey_id, "exit", {}))["people"] == 0


async def test_no_more_than_can_be_done_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.orchestrator.interventions.service.LARGEST", 2)
    journey_id = await inside(world, waits(), people=3)
    first = await intervene(world, journey_id, "exit", {})
    second = await intervene(world, journey_id, "exit", {})
    assert (first["people"], first["more"]) == (2, True)
    assert (second["people"], second["more"]) == (1, False)


@pytest.mark.parametrize(
    "body",
    [
        {"action": "move", "who": {}, "reason": "r"},
        {"action": "exit", "who": {}, "to": "end", "reason": "r"},
        {"action": "exit", "who": {}, "reason": ""},
        {"action": "exit", "who": {"nodes": ["a"]}, "reason": "r"},
    ],
)
async def test_what_means_nothing_is_refused(world: World, body: Any) -> None:
    journey_id = await inside(world, waits())
    path = f"/api/v1/journeys/{journey_id}/interventions"
    assert (await world.client.post(path, json=body)).status_code == 422
    assert (await stats(world, journey_id))["waiting"] == 1
