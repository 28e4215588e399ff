"""Predictions over HTTP: defined, run in a process of their own, written to people, read back."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psutil
import pytest

from services.contracts.tracking import BehaviourQuery
from services.profile.main import create_app
from services.profile.predictions.process import MODULE
from services.profile.predictions.sources import day_number
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.predictions.conftest import BehaviourTracking, settled
from tests.support.app import running
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

CNY = {"event": "Ordered", "value": "total", "currency": {"property": "currency", "code": "CNY"}}
RFM = {"kind": "rfm", "event": "Ordered", "value": "total"}


async def people(world: World, count: int) -> list[str]:
    """Profile ids of people who did one thing each, in order of their user ids."""
    events = [world.event(("user_id", f"u{i:03}"), traits={}) for i in range(count)]
    await world.post(*events)
    return [event.subject_id for event in events]


def spending(ids: list[str], today: int) -> dict[str, list[Any]]:
    """The later in the list, the more recent, frequent and dear."""
    n = len(ids)
    return {
        "profile_id": ids,
        "days": [1 + i // 2 for i in range(n)],
        "first_day": [today - 200] * n,
        "last_day": [today - (n - i) for i in range(n)],
        "total": [10.0 * (i + 1) for i in range(n)],
        "first_value": [5.0] * n,
    }


async def define(world: World, name: str, model: dict[str, Any], **rest: Any) -> str:
    body = {"name": name, "model": model, **rest}
    made = await world.call("POST", "/api/v1/predictions", body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def run(world: World, prediction_id: str) -> dict[str, Any]:
    asked = await world.call("POST", f"/api/v1/predictions/{prediction_id}/run")
    assert asked.status_code == 202, asked.text
    return await settled(world, f"/predictions/{prediction_id}/runs/{asked.json()['id']}")


async def test_rfm_is_written_to_people_told_on_the_feed_and_read_by_segments(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 10)
    today = day_number(clock.now(), "UTC")
    tracking.answer = lambda _: spending(ids, today)
    prediction_id = await define(world, "rfm", RFM)
    champions = {"field": "computed.rfm", "operator": "=", "value": "champions"}
    made = await world.call(
        "POST",
        "/api/v1/segments",
        {"name": "Champions", "rule": {"combinator": "and", "rules": [champions]}},
    )
    assert made.status_code == 201, made.text
    await world.ready(f"/api/v1/segments/{made.json()['id']}", "status")

    done = await run(world, prediction_id)

    assert (done["state"], done["people"], done["progress"]) == ("done", 10, 1.0)
    told = await world.until(lambda c: c.type == "segment.entered")
    assert {c.profile_id for c in told if c.type == "segment.entered"} == set(ids[8:])
    best_of_all = [c for c in world.seen if (c.type, c.profile_id) == ("trait.computed", ids[9])]
    assert {c.data["name"]: c.data["value"] for c in best_of_all} == {
        "rfm": "champions",
        "rfm.recency": 5,
        "rfm.frequency": 5,
        "rfm.monetary": 5,
        "rfm.tier": "high",
    }
    (said,) = (await world.get(f"/profiles/{ids[0]}/predictions"))["items"]
    assert said["value"] == "hibernating"
    assert said["parts"] == {"recency": 1, "frequency": 1, "monetary": 1, "tier": "low"}
    assert said["as_of"] == "2026-03-01T12:00:00Z"

    matrix = await world.get("/rfm", prediction="rfm")
    assert sum(cell["people"] for cell in matrix["cells"]) == matrix["customers"] == 10
    assert sum(cell["value"] for cell in matrix["cells"]) == 550
    assert matrix["currency"] is None
    (best,) = [c for c in matrix["cells"] if (c["recency"], c["frequency"]) == (5, 5)]
    assert best["name"] == {"en": "Champions", "zh": "冠军客户"}
    assert [tier["people"] for tier in matrix["tiers"]] == [2, 3, 5]


async def test_people_who_are_no_longer_foretold_lose_their_values(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 8)
    today = day_number(clock.now(), "UTC")
    tracking.answer = lambda _: spending(ids, today)
    prediction_id = await define(world, "rfm", RFM)
    await run(world, prediction_id)
    clock.advance(timedelta(hours=1))
    tracking.answer = lambda _: spending(ids[:6], today)
    await run(world, prediction_id)
    assert (await world.get(f"/profiles/{ids[7]}/predictions"))["items"] == []
    assert len((await world.get(f"/profiles/{ids[5]}/predictions"))["items"]) == 1

    deleted = await world.call("DELETE", f"/api/v1/predictions/{prediction_id}")
    assert deleted.status_code == 204
    async with asyncio.timeout(10):
        body = {"name": "rfm", "model": RFM}
        while (await world.call("POST", "/api/v1/predictions", body)).status_code == 409:
            await world.feed(wait=0.02)
    assert (await world.get(f"/profiles/{ids[0]}/predictions"))["items"] == []


async def test_a_killed_process_leaves_its_run_to_be_taken_up_again(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 10)
    tracking.answer = lambda _: spending(ids, day_number(clock.now(), "UTC"))
    tracking.go_on.clear()
    prediction_id = await define(world, "rfm", RFM)
    asked = await world.call("POST", f"/api/v1/predictions/{prediction_id}/run")
    path = f"/predictions/{prediction_id}/runs/{asked.json()['id']}"
    async with asyncio.timeout(20):
        while not (tracking.asked and _computing()):
            await world.feed(wait=0.02)
    again = await world.call("POST", f"/api/v1/predictions/{prediction_id}/run")
    assert again.json()["id"] == asked.json()["id"], "one run at a time"
    _computing()[0].kill()
    tracking.go_on.set()
    done = await settled(world, path)
    assert (done["state"], done["attempt"], done["people"]) == ("done", 2, 10)
    assert not _computing()


async def test_a_run_that_a_stopped_service_left_is_done_by_the_next(
    profile_database: Database, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    tracking.go_on.clear()
    tracking.answer = lambda _: spending(ids, day_number(clock.now(), "UTC"))
    async with running(create_app(settings(profile_database, tracking), clock)) as client:
        world = World(client, tracking, uuid4())
        ids = await people(world, 10)
        prediction_id = await define(world, "rfm", RFM)
        asked = await world.call("POST", f"/api/v1/predictions/{prediction_id}/run")
        async with asyncio.timeout(20):
            while not (tracking.asked and _computing()):
                await world.feed(wait=0.02)
    assert not _computing()
    tracking.go_on.set()
    async with running(create_app(settings(profile_database, tracking), clock)) as client:
        world = World(client, tracking, world.workspace_id)
        path = f"/predictions/{prediction_id}/runs/{asked.json()['id']}"
        done = await settled(world, path)
    assert (done["state"], done["attempt"], done["people"]) == ("done", 2, 10)


async def test_a_prediction_deleted_while_it_runs_writes_nothing(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 10)
    tracking.answer = lambda _: spending(ids, day_number(clock.now(), "UTC"))
    tracking.go_on.clear()
    prediction_id = await define(world, "rfm", RFM)
    await world.call("POST", f"/api/v1/predictions/{prediction_id}/run")
    async with asyncio.timeout(20):
        while not tracking.asked:
            await world.feed(wait=0.02)
    assert (await world.call("DELETE", f"/api/v1/predictions/{prediction_id}")).status_code == 204
    tracking.go_on.set()
    async with asyncio.timeout(60):
        body = {"name": "rfm", "model": RFM}
        while (await world.call("POST", "/api/v1/predictions", body)).status_code == 409:
            await world.feed(wait=0.02)
    told = await world.post(world.event(("user_id", "u000")))
    assert not [change for change in told if change.type == "trait.computed"]


def _computing() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _computes(child)]


def _computes(process: psutil.Process) -> bool:
    try:
        return MODULE in process.cmdline()
    except psutil.NoSuchProcess:
        # It ended between the two looks.
        return False


async def test_a_refresh_runs_again_when_its_time_has_come(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 10)
    tracking.answer = lambda _: spending(ids, day_number(clock.now(), "UTC"))
    prediction_id = await define(world, "rfm", RFM, refresh_hours=6)
    await run(world, prediction_id)
    clock.advance(timedelta(hours=5))
    assert len((await world.get(f"/predictions/{prediction_id}/runs"))["items"]) == 1
    clock.advance(timedelta(hours=1))
    async with asyncio.timeout(20):
        while len((await world.get(f"/predictions/{prediction_id}/runs"))["items"]) < 2:
            await world.feed(wait=0.05)


async def test_too_little_data_fails_with_the_reason(
    world: World, tracking: BehaviourTracking
) -> None:
    ids = await people(world, 3)
    tracking.answer = lambda query: _nothing(query) or spending(ids, 20_000)
    failed = await run(world, await define(world, "clv", {**RFM, "kind": "clv"}))
    assert failed["state"] == "failed"
    assert failed["reason"] == "1 customers bought on more than one day; 50 are needed."
    failed = await run(world, await define(world, "churn", {"kind": "churn", "event": "Ordered"}))
    assert "30 who did and 30 who did not are needed" in failed["reason"]


def _nothing(query: BehaviourQuery) -> dict[str, list[Any]] | None:
    if query.measure == "purchases":
        return None
    return {"profile_id": [], "events": [], "active_days": [], "last_day": []}


async def test_every_other_kind_runs_to_its_end(
    world: World, tracking: BehaviourTracking, clock: FakeClock
) -> None:
    ids = await people(world, 400)
    today = day_number(clock.now(), "UTC")
    tracking.answer = lambda query: _shop(query, ids, today)
    models: dict[str, dict[str, Any]] = {
        "clv": {"kind": "clv", **CNY, "horizon_days": 30},
        "will_buy": {"kind": "purchase", **CNY},
        "churn": {"kind": "churn", "event": "Ordered"},
        "best_hour": {"kind": "send_time"},
        "best_channel": {"kind": "channel_preference"},
    }
    runs = {name: await run(world, await define(world, name, m)) for name, m in models.items()}
    assert {name: (r["state"], r["reason"]) for name, r in runs.items()} == dict.fromkeys(
        models, ("done", None)
    )
    assert runs["clv"]["metrics"]["holdout"]["calibration"]
    bins = runs["churn"]["metrics"]["calibration"]
    assert sum(each["people"] for each in bins) == runs["churn"]["metrics"]["judged_on"]
    items = {i["name"]: i for i in (await world.get(f"/profiles/{ids[0]}/predictions"))["items"]}
    assert items.keys() == models.keys()
    for item in items.values():
        assert item["parts"]["low"] <= item["parts"]["high"]
    assert {name: item["currency"] for name, item in items.items() if item["currency"]} == {
        "clv": "CNY"
    }
    assert items["best_channel"]["value"] == "sms"
    assert items["best_hour"]["value"] == 19
    assert (items["best_hour"]["parts"]["weekday"], items["best_hour"]["parts"]["hour"]) == (1, 19)


def _shop(query: BehaviourQuery, ids: list[str], today: int) -> dict[str, list[Any]]:
    """A shop whose every second customer buys every fifth day and whose others stop at random."""
    chance = random.Random(5)  # noqa: S311 - made-up customers
    until = day_number(query.as_of, "UTC")
    if query.measure == "hours":
        return {"profile_id": ids, "hour": [19.0] * len(ids), "events": [5.0] * len(ids)}
    if query.measure == "channels":
        return {
            "profile_id": ids * 2,
            "channel": ["sms"] * len(ids) + ["email"] * len(ids),
            "sent": [10.0] * 2 * len(ids),
            "engaged": [5.0] * len(ids) + [1.0] * len(ids),
        }
    rows = []
    for i, profile_id in enumerate(ids):
        start, stop = today - 200 + i % 20, today if i % 2 else today - chance.randint(0, 150)
        days = [d for d in range(start, stop) if chance.random() < 0.1 and d < until]
        worth = [chance.uniform(5, 50) for _ in days]
        if days:
            rows.append((profile_id, len(days), days[0], days[-1], sum(worth), worth[0]))
    if query.measure == "activity":
        return {
            "profile_id": [r[0] for r in rows],
            "events": [1.0 * r[1] for r in rows],
            "active_days": [1.0 * r[1] for r in rows],
            "last_day": [r[3] for r in rows],
        }
    names = ("profile_id", "days", "first_day", "last_day", "total", "first_value")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "Clv", "model": RFM}, "#/name"),
        ({"name": "a.b", "model": RFM}, "#/name"),
        ({"name": "x", "model": {"kind": "magic"}}, "#/model"),
        ({"name": "x", "model": {**RFM, "timezone": "Mars"}}, "#/model/timezone"),
        ({"name": "x", "model": {"kind": "clv", "event": "Ordered"}}, "#/model/value"),
        ({"name": "x", "model": RFM, "refresh_hours": 0}, "#/refresh_hours"),
    ],
)
async def test_a_definition_that_means_nothing_is_refused_at_its_field(
    world: World, body: dict[str, Any], pointer: str
) -> None:
    answer = await world.call("POST", "/api/v1/predictions", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_names_are_unique_and_what_is_read_cannot_be_deleted(world: World) -> None:
    prediction_id = await define(world, "rfm", RFM)
    taken = await world.call("POST", "/api/v1/predictions", {"name": "rfm", "model": RFM})
    assert (taken.status_code, taken.json()["type"]) == (409, "/problems/prediction-name-taken")
    rule = {"field": "computed.rfm.recency", "operator": ">=", "value": 4}
    await world.call(
        "POST", "/api/v1/segments", {"name": "s", "rule": {"combinator": "and", "rules": [rule]}}
    )
    used = await world.call("DELETE", f"/api/v1/predictions/{prediction_id}")
    assert (used.status_code, used.json()["type"]) == (409, "/problems/prediction-in-use")
