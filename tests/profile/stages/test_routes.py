"""Stages: one per person and model, with counts and history."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.contracts.changes import Change
from tests.profile.clock import FakeClock
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")


def did(event: str) -> dict[str, Any]:
    return {"combinator": "and", "rules": [{"event": event}]}


MODEL: dict[str, Any] = {
    "name": "Buying",
    "stages": [
        {"id": "aware", "entry": did("Page Viewed")},
        {"id": "buyer", "entry": did("Order Completed")},
    ],
}


async def publish(world: World, model: dict[str, Any] = MODEL) -> str:
    model_id = str(uuid4())
    answer = await world.call("PUT", f"/internal/v1/stage-models/{model_id}", model)
    assert answer.status_code == 200, answer.text
    return model_id


def moves(changes: list[Any]) -> list[tuple[str | None, str | None]]:
    return [(c.data["from"], c.data["to"]) for c in changes if c.type == "stage.changed"]


async def test_of_the_stages_that_hold_the_last_one_wins(world: World) -> None:
    model_id = await publish(world)
    viewed = world.event(USER)
    assert moves(await world.post(viewed)) == [(None, "aware")]
    assert moves(await world.post(world.event(USER, name="Order Completed"))) == [
        ("aware", "buyer")
    ]
    assert moves(await world.post(world.event(USER))) == []
    await world.ready(f"/internal/v1/stage-models/{model_id}")
    [model] = (await world.get("/stages"))["items"]
    assert (model["id"], model["name"], model["status"]) == (model_id, "Buying", "ready")
    assert [(s["id"], s["profiles"]) for s in model["stages"]] == [("aware", 0), ("buyer", 1)]
    mine = await world.get(f"/profiles/{viewed.subject_id}/stages")
    assert [(c["from_stage"], c["to_stage"]) for c in mine["items"]] == [
        ("aware", "buyer"),
        (None, "aware"),
    ]
    assert [c["stage_id"] for c in mine["current"]] == ["buyer"]


async def test_a_published_model_places_everybody_it_already_knows(world: World) -> None:
    pro = [{"field": "traits.plan", "operator": "=", "value": "pro"}]
    await world.post(world.event(USER, type="identify", traits={"plan": "pro"}))
    entry = {"combinator": "and", "rules": pro}
    await publish(world, {"name": "Plans", "stages": [{"id": "paying", "entry": entry}]})
    changes = await world.until(lambda c: c.type == "stage.changed")
    assert moves(changes) == [(None, "paying")]
    left = await world.post(world.event(USER, type="identify", traits={"plan": None}))
    assert moves(left) == [("paying", None)]


async def test_a_segment_may_read_the_stage(world: World) -> None:
    await publish(world)
    buyer = {"field": "stage", "operator": "=", "value": "buyer"}
    body = {"name": "Buyers", "rule": {"combinator": "and", "rules": [buyer]}}
    assert (await world.call("POST", "/api/v1/segments", body)).status_code == 201
    changes = await world.post(world.event(USER, name="Order Completed"))
    assert [c.type for c in changes] == ["event", "stage.changed", "segment.entered"]


async def test_a_withdrawn_model_is_gone(world: World) -> None:
    path = f"/internal/v1/stage-models/{await publish(world)}"
    await world.post(world.event(USER))
    assert (await world.call("DELETE", path)).status_code == 204
    assert (await world.get("/stages"))["items"] == []
    assert [(await world.call(m, path)).status_code for m in ("GET", "DELETE")] == [404, 404]


async def test_two_stages_of_one_id_are_refused(world: World) -> None:
    twice = {"name": "Twice", "stages": [MODEL["stages"][0]] * 2}
    answer = await world.call("PUT", f"/internal/v1/stage-models/{uuid4()}", twice)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/stages")


STALLING = {
    **MODEL,
    "stages": [{**MODEL["stages"][0], "stalls_after_seconds": 86_400}, MODEL["stages"][1]],
}


def stalls(changes: list[Change]) -> list[tuple[str, str]]:
    return [(c.profile_id, c.data["stage_id"]) for c in changes if c.type == "stage.stalled"]


async def test_who_stays_in_a_stage_for_too_long_is_told_of_once(
    world: World, clock: FakeClock
) -> None:
    viewed = world.event(("user_id", "u1"), name="Page Viewed")
    ordered = world.event(("user_id", "u2"), name="Order Completed")
    await publish(world, STALLING)
    await world.post(viewed, world.event(("user_id", "u2"), name="Page Viewed"))
    clock.advance(timedelta(hours=12))
    await world.post(ordered)
    clock.advance(timedelta(hours=12))
    changes = await world.until(lambda c: c.type == "stage.stalled")
    assert stalls(changes) == [(viewed.subject_id, "aware")]
    [model] = (await world.get("/stages"))["items"]
    assert [(s["profiles"], s["stalled"]) for s in model["stages"]] == [(1, 1), (1, 0)]
    mine = await world.get(f"/profiles/{viewed.subject_id}/stages")
    assert [c["stalled"] for c in mine["current"]] == [True]
    clock.advance(timedelta(days=9))
    left = await world.post(world.event(("user_id", "u1"), name="Order Completed"))
    assert stalls(left) == []
    mine = await world.get(f"/profiles/{viewed.subject_id}/stages")
    assert [c["stalled"] for c in mine["current"]] == [False]


async def test_a_shorter_time_that_is_published_later_counts_from_when_people_came(
    world: World, clock: FakeClock
) -> None:
    viewed = world.event(("user_id", "u1"), name="Page Viewed")
    model_id = await publish(world)
    await world.post(viewed)
    clock.advance(timedelta(days=2))
    answer = await world.call("PUT", f"/internal/v1/stage-models/{model_id}", STALLING)
    assert answer.status_code == 200
    changes = await world.until(lambda c: c.type == "stage.stalled")
    assert stalls(changes) == [(viewed.subject_id, "aware")]
