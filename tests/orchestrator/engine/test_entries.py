"""The ways into a journey, and what keeps people out of it."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.contracts.changes import Change
from tests.orchestrator.conftest import World
from tests.orchestrator.journeys.graphs import delay, leave

pytestmark = pytest.mark.anyio

MODEL, SEGMENT = str(uuid4()), str(uuid4())
PRO = {"rules": [{"field": "traits.plan", "operator": "=", "value": "pro"}]}


def journey(*nodes: dict[str, Any], kind: str, **entry: Any) -> dict[str, Any]:
    every = list(nodes) or [leave("end")]
    return {"name": "J", "entry": {"kind": kind, "next": every[0]["id"], **entry}, "nodes": every}


async def stats(world: World, journey_id: str) -> dict[str, Any]:
    return dict(await world.get(f"/journeys/{journey_id}/stats"))


def stage(world: World, person: UUID, left: str | None, to: str | None) -> Change:
    data = {"model_id": MODEL, "from": left, "to": to}
    return Change("stage.changed", str(person), world.clock.now, data)


@pytest.mark.parametrize(
    ("entry", "changes", "entered"),
    [
        ({"to": "buy"}, [("aware", "buy")], 1),
        ({"to": "buy"}, [(None, "buy")], 1),
        ({"to": "buy"}, [("buy", "use")], 0),
        ({"from": "buy"}, [("buy", "use")], 1),
        ({"from": "buy"}, [("buy", None)], 1),
        ({"from": "aware", "to": "buy"}, [("use", "buy")], 0),
        ({"from": "aware", "to": "buy"}, [("aware", "buy")], 1),
        ({"to": "buy", "entry_mode": "after_exit"}, [("a", "buy"), ("buy", "a")], 1),
    ],
)
async def test_a_change_of_stage_lets_people_in(
    world: World, entry: dict[str, Any], changes: list[tuple[str | None, str | None]], entered: int
) -> None:
    journey_id = await world.publish(journey(kind="stage", model_id=MODEL, **entry))
    person = world.person()
    world.feed(*(stage(world, person, left, to) for left, to in changes))
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == entered


async def test_a_stall_lets_people_in(world: World) -> None:
    journey_id = await world.publish(journey(kind="stall", model_id=MODEL, stage_id="buy"))
    for stage_id in ("buy", "use"):
        data = {"model_id": MODEL, "stage_id": stage_id, "since": world.clock.now}
        world.feed(Change("stage.stalled", str(world.person()), world.clock.now, data))
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 1


async def test_only_the_audience_enters(world: World) -> None:
    """Its rule is asked once the trigger is known, as of the end of the block of the feed."""
    document = journey(kind="event", event="Viewed", audience=PRO)
    journey_id = await world.publish(document)
    [(audience, registered)] = world.neighbours.rules.items()
    assert (registered.kind, registered.watch) == ("journey", False)
    inside = world.neighbours.person(rules={audience: True})
    outside = world.neighbours.person(rules={audience: False})
    world.feed(world.event(inside, "Viewed"), world.event(outside, "Viewed"))
    await world.settle()
    found = await stats(world, journey_id)
    assert (found["entered"], found["refused"]) == (1, {"not_in_audience": 1})
    assert world.neighbours.facts_asked[-1].min_position == 1


async def test_who_was_kept_out_by_the_audience_may_enter_later(world: World) -> None:
    journey_id = await world.publish(journey(kind="event", event="Viewed", audience=PRO))
    [audience] = world.neighbours.rules
    person = world.neighbours.person(rules={audience: False})
    world.feed(world.event(person, "Viewed"))
    await world.settle()
    known = world.neighbours.people[person]
    world.neighbours.people[person] = known.model_copy(update={"rules": {audience: True}})
    world.feed(world.event(person, "Viewed"))
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 1


async def test_a_cap_lets_in_so_many_an_hour(world: World) -> None:
    cap = {"people": 2, "per": "hour"}
    document = journey(kind="event", event="Viewed", entry_mode="after_exit", cap=cap)
    journey_id = await world.publish(document)
    people = [world.person() for _ in range(5)]
    world.feed(*(world.event(each, "Viewed") for each in people[:3]))
    world.feed(world.event(people[3], "Viewed"))
    await world.settle()
    assert (await stats(world, journey_id))["refused"] == {"capped": 2}
    world.clock.advance(seconds=3_600)
    world.feed(world.event(people[4], "Viewed"))
    await world.settle()
    found = await stats(world, journey_id)
    assert (found["entered"], found["refused"]) == (3, {"capped": 2})


async def test_who_may_not_enter_takes_nobodys_place_under_a_cap(world: World) -> None:
    cap = {"people": 2, "per": "ever"}
    journey_id = await world.publish(journey(kind="event", event="Viewed", cap=cap))
    first, second = world.person(), world.person()
    world.feed(world.event(first, "Viewed"))
    await world.settle()
    world.feed(world.event(first, "Viewed"), world.event(second, "Viewed"))
    await world.settle()
    found = await stats(world, journey_id)
    assert (found["entered"], found["refused"]) == (2, {"entered_before": 1})


# The API


async def enrol(world: World, journey_id: str, *people: Any, **headers: str) -> dict[str, Any]:
    body = {"people": [{"profile_id": str(each)} for each in people], "properties": {"n": 7}}
    return dict(await world.post(f"/journeys/{journey_id}/entries", body, **headers))


async def test_the_api_lets_people_in_one_by_one(world: World) -> None:
    journey_id = await world.publish(journey(delay(60, "end"), leave("end"), kind="api"))
    first, second, unknown = world.person(), world.person(), uuid4()
    await enrol(world, journey_id, first)
    answer = await enrol(world, journey_id, first, second, unknown)
    assert [each["profile_id"] for each in answer["entered"]] == [str(second)]
    assert answer["refused"] == [
        {"index": 0, "profile_id": str(first), "reason": "entered_before"},
        {"index": 2, "profile_id": str(unknown), "reason": "no_profile"},
    ]
    listed = (await world.get(f"/journeys/{journey_id}/participants"))["items"]
    assert {each["profile_id"] for each in listed} == {str(first), str(second)}


async def test_a_request_said_twice_lets_nobody_in_again(world: World) -> None:
    document = journey(kind="api", entry_mode="after_exit")
    journey_id = await world.publish(document)
    person = world.person()
    key = {"Idempotency-Key": str(uuid4())}
    first = await enrol(world, journey_id, person, **key)
    await world.settle()
    again = await enrol(world, journey_id, person, **key)
    assert again == first
    assert (await stats(world, journey_id))["entered"] == 1
    await enrol(world, journey_id, person)
    assert (await stats(world, journey_id))["entered"] == 2


async def test_entries_need_a_live_journey_that_takes_them(world: World) -> None:
    by_event = await world.publish(journey(kind="event", event="Viewed"))
    draft = (await world.post("/journeys", {"graph": journey(kind="api")}))["id"]
    body = {"people": [{"profile_id": str(world.person())}]}
    for journey_id in (by_event, draft):
        path = f"/api/v1/journeys/{journey_id}/entries"
        response = await world.client.post(path, json=body)
        assert response.status_code == 409
        assert response.json()["type"] == "/problems/journey-state-conflict"
    missing = await world.client.post(f"/api/v1/journeys/{uuid4()}/entries", json=body)
    assert missing.status_code == 404


async def test_an_instance_key_is_taken_from_the_properties(world: World) -> None:
    document = journey(kind="api", entry_mode="concurrent_by_key", instance_key=["order_id"])
    journey_id = await world.publish(document)
    person = str(world.person())
    people = [
        {"profile_id": person, "properties": {"order_id": "A"}},
        {"profile_id": person, "properties": {"order_id": "B"}},
        {"profile_id": person},
    ]
    answer = await world.post(f"/journeys/{journey_id}/entries", {"people": people})
    assert len(answer["entered"]) == 2
    assert [each["reason"] for each in answer["refused"]] == ["no_instance_key"]


# Schedules: the clock of the tests starts on 2027-01-15 at 08:00 UTC, a Friday.


def scheduled(starts_at: str, recurrence: str | None = None, **more: Any) -> dict[str, Any]:
    return journey(
        kind="schedule",
        segment_id=SEGMENT,
        starts_at=starts_at,
        recurrence=recurrence,
        timezone="Asia/Shanghai",
        entry_mode="after_exit",
        **more,
    )


def listed(world: World, count: int) -> None:
    world.neighbours.lists[SEGMENT] = [str(world.neighbours.person()) for _ in range(count)]


async def test_a_schedule_lets_its_audience_in_page_by_page(world: World) -> None:
    listed(world, 5)
    world.neighbours.members_page = 2
    journey_id = await world.publish(scheduled("2027-01-15T17:00:00"))
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 0
    world.clock.advance(seconds=3_600)
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 5
    world.clock.advance(seconds=90 * 86_400)
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 5, "once"


async def test_a_schedule_comes_again_by_its_rule(world: World) -> None:
    listed(world, 1)
    journey_id = await world.publish(scheduled("2027-01-11T09:00:00", "FREQ=WEEKLY;BYDAY=MO"))
    entered = []
    for days in (2, 1, 6, 1):
        world.clock.advance(seconds=days * 86_400)
        await world.settle()
        entered.append((await stats(world, journey_id))["entered"])
    assert entered == [0, 1, 1, 2], "on Mondays; the one before publishing does not count"


async def test_times_that_passed_during_a_pause_are_not_made_up_for(world: World) -> None:
    listed(world, 1)
    journey_id = await world.publish(scheduled("2027-01-11T09:00:00", "FREQ=DAILY"))
    await world.post(f"/journeys/{journey_id}/pause")
    world.clock.advance(seconds=5 * 86_400)
    await world.settle()
    await world.post(f"/journeys/{journey_id}/resume")
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 0
    world.clock.advance(seconds=86_400)
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 1


async def test_an_archived_schedule_is_over(world: World) -> None:
    listed(world, 1)
    journey_id = await world.publish(scheduled("2027-01-11T09:00:00", "FREQ=DAILY"))
    await world.post(f"/journeys/{journey_id}/archive")
    world.clock.advance(seconds=2 * 86_400)
    await world.settle()
    assert (await stats(world, journey_id))["entered"] == 0


@pytest.mark.parametrize(
    ("recurrence", "said"),
    [
        ("every monday", "recurrence rule"),
        ("FREQ=SECONDLY", "at most hourly"),
        ("FREQ=WEEKLY;BYDAY=XX", "recurrence rule"),
        ("DTSTART:20270101T000000\nRRULE:FREQ=DAILY", "recurrence rule"),
    ],
)
async def test_a_rule_that_is_none_is_refused(world: World, recurrence: str, said: str) -> None:
    body = {"graph": scheduled("2027-01-11T09:00:00", recurrence)}
    response = await world.client.post("/api/v1/journeys", json=body)
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["pointer"] == "#/graph/entry/recurrence"
    assert said in error["detail"]


async def test_a_rule_without_any_time_cannot_be_published(world: World) -> None:
    graph = scheduled("2027-01-11T09:00:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    draft = await world.post("/journeys", {"graph": graph})
    assert [each["pointer"] for each in draft["problems"]] == ["#/graph/entry/recurrence"]
