"""Nodes that do something beside sending: each does it once, and says why when it cannot."""

from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.contracts.changes import Change
from services.orchestrator.engine.journey_calls import MAX_DEPTH
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import delay, leave

pytestmark = pytest.mark.anyio

LIST = str(uuid4())


def journey(*nodes: dict[str, Any], entry: dict[str, Any] | None = None, **more: Any) -> Any:
    start = {"next": nodes[0]["id"], **(entry or {})}
    if "kind" not in start:
        start |= {"kind": "event", "event": "Viewed"}
    return {"name": "J", "entry": start, "nodes": [*nodes, leave("end")], **more}


def node(type: str, to: str = "end", id: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": id or type, "type": type, "next": to, **fields}


async def walked(world: World, person: UUID, **properties: Any) -> None:
    world.feed(world.event(person, "Viewed", **properties))
    await world.settle()


def told(world: World, name: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(o.properties) for o in world.neighbours.outcomes if o.event == name]


async def test_traits_and_events_are_said_in_the_log_as_the_person(world: World) -> None:
    traits = node("update_profile", "emit", traits={"seen": "{{ event.properties.offer }}", "n": 1})
    emit = node("emit", event="Welcomed", properties={"who": "{{ profile.user_id }}"})
    journey_id = await world.publish(journey(traits, emit))
    person = world.person(identifiers={"email": ["a@example.com"], "user_id": ["u-1"]})
    await walked(world, person, offer="o-7")
    [one] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    identify, track = world.neighbours.calls
    assert identify == {
        "userId": "u-1",
        "messageId": f"{one['id']}:update_profile:1",
        "timestamp": "2027-01-15T08:00:00+00:00",
        "type": "identify",
        "traits": {"seen": "o-7", "n": 1},
        "source": "orchestrator",
    }
    assert (track["event"], track["properties"]) == ("Welcomed", {"who": "u-1"})


async def test_a_person_without_a_user_id_is_named_by_what_there_is(world: World) -> None:
    await world.publish(journey(node("emit", event="E")))
    await walked(world, world.person(identifiers={"wechat": ["w-1"]}))
    [call] = world.neighbours.calls
    assert call["context"] == {"externalIds": [{"type": "wechat", "id": "w-1"}]}


async def test_what_cannot_be_said_is_told_with_its_reason_and_holds_up_nobody(
    world: World,
) -> None:
    refused = node("emit", "nobody", event="Unplanned")
    nobody = node("emit", "broken", "nobody", event="E")
    broken = node("update_profile", traits={"a": "{{ 1 | divided_by: 0 }}"}, id="broken")
    journey_id = await world.publish(journey(refused, nobody, broken))
    await walked(world, world.person(identifiers={}))
    await walked(world, world.person(identifiers={"user_id": ["u"]}))
    await world.tell()
    reasons = [
        (each["node"], each["outcome"].split(":")[0]) for each in told(world, "Step Refused")
    ]
    assert sorted(reasons) == [
        ("broken", "no_identifier"),
        ("broken", "template_error"),
        ("emit", "no_identifier"),
        ("emit", "not planned"),
        ("nobody", "no_identifier"),
    ]
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"end": 2}


async def test_people_are_put_on_lists_and_taken_off(world: World) -> None:
    on = node("list", "delay", "on", segment_id=LIST)
    off = node("list", id="off", segment_id=LIST, action="remove")
    await world.publish(journey(on, delay(60, "off"), off))
    people = [world.person() for _ in range(3)]
    world.feed(*(world.event(each, "Viewed") for each in people))
    await world.settle()
    assert sorted(world.neighbours.lists[LIST]) == sorted(map(str, people))
    world.clock.advance(seconds=60)
    await world.settle()
    assert world.neighbours.lists[LIST] == []


async def test_effects_wait_for_services_that_are_down(world: World) -> None:
    await world.publish(journey(node("emit", event="E")))
    person = world.person()
    world.feed(world.event(person, "Viewed"))
    await world.follow()
    await world.execute()
    world.neighbours.down.add("events")
    with pytest.raises(Exception, match="tracking"):
        await world.carry_out()
    world.neighbours.down.clear()
    await world.carry_out()
    assert len(world.neighbours.calls) == 1


async def test_a_journey_lets_people_into_another(world: World) -> None:
    entry = {"kind": "api", "instance_key": ["order"], "entry_mode": "concurrent_by_key"}
    called = await world.publish(journey(delay(60, "end"), entry=entry))
    properties = {"order": "{{ event.properties.order }}"}
    await world.publish(journey(node("journey", journey_id=called, properties=properties)))
    person = world.person()
    await walked(world, person, order="A-1")
    [one] = (await world.get(f"/journeys/{called}/participants"))["items"]
    assert (one["profile_id"], one["instance_key"]) == (str(person), '["A-1"]')


async def test_journeys_that_call_each_other_in_a_circle_stop(world: World) -> None:
    entry = {"kind": "api", "entry_mode": "after_exit"}
    draft = await world.post("/journeys", {"graph": journey(delay(1, "end"), entry=entry)})
    graph = journey(node("journey", journey_id=draft["id"]), entry=entry)
    path = f"/api/v1/journeys/{draft['id']}"
    assert (await world.client.put(path, json={"graph": graph})).status_code == 200
    await world.post(f"/journeys/{draft['id']}/publish")
    person = str(world.person())
    await world.post(f"/journeys/{draft['id']}/entries", {"people": [{"profile_id": person}]})
    await world.settle()
    assert (await world.get(f"/journeys/{draft['id']}/stats"))["entered"] == MAX_DEPTH + 1
    assert [each["outcome"] for each in told(world, "Step Refused")] == ["too_many_calls"]


# Tasks


def asking(**more: Any) -> dict[str, Any]:
    outcomes = [{"id": "reached", "next": "end"}, {"id": "gone", "next": "lost"}]
    return {
        "id": "task",
        "type": "task",
        "title": "Call {{ profile.user_id }}",
        "department": "Service",
        "outcomes": outcomes,
        "timeout_seconds": 3600,
        "on_timeout": "lost",
        **more,
    }


async def open_task(world: World) -> tuple[str, dict[str, Any]]:
    journey_id = await world.publish(journey(asking(), leave("lost")))
    await walked(world, world.person())
    [task] = (await world.get("/tasks", state="open", department="Service"))["items"]
    return journey_id, task


async def test_a_task_moves_its_person_on_the_way_of_its_outcome(world: World) -> None:
    journey_id, task = await open_task(world)
    assert (task["state"], task["outcome"]) == ("open", None)
    path = f"/api/v1/tasks/{task['id']}/outcome"
    done = await world.client.put(path, json={"outcome": "gone", "note": "No answer."})
    assert done.status_code == 200, done.text
    assert (done.json()["state"], done.json()["outcome"]) == ("done", "gone")
    again = await world.client.put(path, json={"outcome": "gone"})
    assert again.json() == done.json()
    other = await world.client.put(path, json={"outcome": "reached"})
    assert other.status_code == 409
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"lost": 1}
    assert (await world.get("/tasks", state="open"))["items"] == []


async def test_an_outcome_that_is_none_is_named(world: World) -> None:
    _, task = await open_task(world)
    response = await world.client.put(
        f"/api/v1/tasks/{task['id']}/outcome", json={"outcome": "maybe"}
    )
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert (error["pointer"], "reached, gone" in error["detail"]) == ("#/outcome", True)
    assert (await world.client.get(f"/api/v1/tasks/{uuid4()}")).status_code == 404


async def test_a_task_that_nobody_did_in_time_is_void(world: World) -> None:
    journey_id, task = await open_task(world)
    world.clock.advance(seconds=3600)
    await world.settle()
    assert (await world.get(f"/tasks/{task['id']}"))["state"] == "void"
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"lost": 1}
    path = f"/api/v1/tasks/{task['id']}/outcome"
    assert (await world.client.put(path, json={"outcome": "gone"})).status_code == 409


# Rules of the feed, goals and exit rules


def matched(world: World, person: UUID, rule_id: UUID, value: bool = True) -> Change:
    data = {"rule_id": str(rule_id), "value": value}
    return Change("rule.matched", str(person), world.clock.now, data)


async def test_a_rule_that_comes_to_hold_passes_a_wait_and_ends_a_journey(world: World) -> None:
    rule = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}
    wait: dict[str, Any] = {"id": "wait", "type": "wait", "timeout_seconds": 3600}
    wait |= {"branches": [{"rule": rule, "next": "delay"}], "on_timeout": "end"}
    other = {"rules": [{"field": "traits.left", "operator": "=", "value": True}]}
    graph = journey(wait, delay(60, "end"), exit_rules=[{"rule": other, "reason": "left_us"}])
    journey_id = await world.publish(graph)
    ids = {each.owner.split()[2]: rule_id for rule_id, each in world.neighbours.rules.items()}
    assert all(each.watch for each in world.neighbours.rules.values())
    person = world.person()
    await walked(world, person)
    world.feed(matched(world, person, ids["wait"], value=False))
    await world.settle()
    [one] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert one["node"] == "wait"
    world.feed(matched(world, person, ids["wait"]))
    await world.settle()
    [one] = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert one["node"] == "delay"
    world.feed(matched(world, person, ids["@exit"]))
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"left_us": 1}


async def test_an_event_ends_the_journey_in_the_middle_of_a_delay(world: World) -> None:
    goal = {"id": "bought", "event": "Bought", "match": {"cart": "cart"}}
    entry = {"instance_key": ["cart"], "entry_mode": "concurrent_by_key"}
    journey_id = await world.publish(journey(delay(3600, "end"), entry=entry, goals=[goal]))
    person = world.person()
    world.feed(world.event(person, "Viewed", cart="A"), world.event(person, "Viewed", cart="B"))
    await world.settle()
    world.clock.advance(seconds=5)
    world.feed(world.event(person, "Bought", cart="A"))
    await world.settle()
    people = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert {(each["instance_key"], each["state"]) for each in people} == {
        ('["A"]', "exited"),
        ('["B"]', "waiting"),
    }
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"bought": 1}


async def goals(world: World, journey_id: str) -> dict[str, Any]:
    return dict((await world.get(f"/journeys/{journey_id}/stats"))["goals"])


async def test_a_goal_counts_once_for_each_way_through_the_journey(world: World) -> None:
    goal = {"id": "bought", "event": "Bought", "value": "total", "exits": False}
    again = {"kind": "event", "event": "Viewed", "entry_mode": "after_exit"}
    journey_id = await world.publish(journey(delay(60, "end"), entry=again, goals=[goal]))
    person = world.person()
    for _ in range(2):
        await walked(world, person)
        bought = [world.event(person, "Bought", total=total) for total in (5, 7)]
        world.feed(*bought)
        await world.settle()
        world.clock.advance(seconds=60)
        await world.settle()
    assert await goals(world, journey_id) == {"bought": {"people": 2, "value": 10.0}}
    assert len(told(world, "Goal Reached")) == 2
    assert told(world, "Goal Reached")[0]["value"] == 5.0


async def test_a_goal_is_counted_in_its_window_after_people_left(world: World) -> None:
    goal = {"id": "bought", "event": "Bought", "match": {"cart": "cart"}, "window_seconds": 3600}
    graph = journey(delay(60, "end"), goals=[goal], entry={"instance_key": ["cart"]})
    journey_id = await world.publish(graph)
    early, late, other = world.person(), world.person(), world.person()
    world.feed(*(world.event(each, "Viewed", cart="A") for each in (early, late, other)))
    await world.settle()
    world.clock.advance(seconds=60)
    await world.settle()
    assert (await world.get(f"/journeys/{journey_id}/stats"))["exits"] == {"end": 3}
    world.clock.advance(seconds=3_600)
    world.feed(world.event(early, "Bought", cart="A"), world.event(other, "Bought", cart="B"))
    world.feed(world.event(late, "Bought", at=world.clock.now + 1, cart="A"))
    await world.settle()
    assert await goals(world, journey_id) == {"bought": {"people": 1, "value": None}}


async def test_a_goal_is_counted_by_coming_to_its_node(world: World) -> None:
    goal = {"id": "read", "event": "Never"}
    journey_id = await world.publish(journey(node("goal", goal="read"), goals=[goal]))
    await walked(world, world.person())
    assert await goals(world, journey_id) == {"read": {"people": 1, "value": None}}


async def test_what_ends_a_journey_withdraws_what_is_queued_in_it(world: World) -> None:
    mail = (await world.mail_graph())["nodes"][0]
    goal = {"id": "bought", "event": "Bought"}
    graph = journey({**mail, "next": "delay"}, delay(3600, "end"), goals=[goal])
    await world.publish(graph)
    buyer, other = world.person(), world.person()
    world.feed(world.event(buyer, "Viewed"), world.event(other, "Viewed"))
    await world.follow()
    await world.execute()
    world.feed(world.event(buyer, "Bought"))
    await world.settle()
    found = {each["profile_id"]: (each["state"], each["reason"]) for each in await world.messages()}
    assert found == {str(buyer): ("skipped", "exited: bought"), str(other): ("accepted", None)}
    assert [each["reason"] for each in told(world, "Message Skipped")] == ["exited: bought"]
