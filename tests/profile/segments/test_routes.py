"""Segments over HTTP: defined, filled, kept true and told of."""

import math
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from fastapi import Response

from services.contracts.changes import Change
from services.contracts.events import Event
from services.rules import EMPTY, leaf_of, update
from tests.profile.clock import FakeClock
from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

PRO = {"field": "traits.plan", "operator": "=", "value": "pro"}
ORDERED_TWICE = {
    "event": "Order Completed",
    "count": {"operator": ">=", "value": 2},
    "window": {"last_days": 30},
}


def group(*rules: dict[str, Any], combinator: str = "and") -> dict[str, Any]:
    return {"combinator": combinator, "rules": list(rules)}


def user(number: int) -> tuple[str, str]:
    return ("user_id", f"u{number}")


def identify(world: World, number: int, **traits: object) -> Event:
    return world.event(user(number), type="identify", traits=traits)


def order(world: World, number: int, clock: FakeClock, days_ago: float = 0) -> Event:
    at = clock.now() - timedelta(days=days_ago)
    return world.event(user(number), name="Order Completed", at=math.floor(at.timestamp() * 1000))


async def create(world: World, rule: dict[str, Any], name: str = "A segment") -> str:
    answer = await world.call("POST", "/api/v1/segments", {"name": name, "rule": rule})
    assert answer.status_code == 201, answer.text
    segment_id: str = answer.json()["id"]
    return segment_id


def crossings(changes: list[Change]) -> list[tuple[str, str]]:
    return [
        (c.type, c.profile_id) for c in changes if c.type in ("segment.entered", "segment.exited")
    ]


def leaf_answer(node: dict[str, Any], times: dict[str, list[int]]) -> Response:
    """What tracking answers about one leaf: the states of people with events at these times."""
    leaf = leaf_of(node)
    states = {profile_id: update(EMPTY, leaf, each) for profile_id, each in times.items()}
    table = pa.table(
        {
            "leaf_id": pa.array([leaf.leaf_id] * len(states), pa.string()),
            "profile_id": pa.array(list(states), pa.string()),
            "total": pa.array([s.total for s in states.values()], pa.int64()),
            "first": pa.array([s.first for s in states.values()], pa.int64()),
            "last": pa.array([s.last for s in states.values()], pa.int64()),
            "recent": pa.array([list(s.recent) for s in states.values()], pa.list_(pa.int64())),
            "buckets": pa.array(
                [[{"1": i, "2": n} for i, n in s.buckets] for s in states.values()],
                pa.list_(pa.struct([("1", pa.int64()), ("2", pa.int64())])),
            ),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes())


async def test_people_a_new_segment_already_holds_for_enter_in_the_background(
    world: World,
) -> None:
    pro, free = identify(world, 1, plan="pro"), identify(world, 2, plan="free")
    await world.post(pro, free)
    segment_id = await create(world, group(PRO))
    changes = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(changes) == [("segment.entered", pro.subject_id)]
    assert changes[0].data == {"segment_id": segment_id}
    read = await world.ready(f"/api/v1/segments/{segment_id}", "status")
    assert (read["status"], read["members"]) == ("ready", 1)
    members = await world.get(f"/segments/{segment_id}/members")
    assert [m["profile_id"] for m in members["items"]] == [pro.subject_id]
    assert members["count"] == 1
    mine = await world.get(f"/profiles/{pro.subject_id}/segments")
    assert [s["segment_id"] for s in mine["items"]] == [segment_id]


async def test_a_trait_moves_a_person_in_and_out_within_the_block_that_says_it(
    world: World,
) -> None:
    await create(world, group(PRO))
    entered = await world.post(identify(world, 1, plan="pro"))
    assert [c.type for c in entered] == ["event", "profile.updated", "segment.entered"]
    assert crossings(await world.post(identify(world, 1, plan="pro"))) == []
    left = await world.post(identify(world, 1, plan="free"))
    assert [c.type for c in left] == ["event", "profile.updated", "segment.exited"]


async def test_counted_events_move_a_person_in_and_the_clock_moves_them_out(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(ORDERED_TWICE))
    first, second = order(world, 1, clock, days_ago=29), order(world, 1, clock)
    assert crossings(await world.post(first)) == []
    assert crossings(await world.post(second)) == [("segment.entered", first.subject_id)]
    clock.advance(timedelta(days=1) - timedelta(milliseconds=2))
    assert await world.feed(wait=0.05) == []
    clock.advance(timedelta(milliseconds=2))
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", first.subject_id)]


async def test_a_window_that_is_prolonged_does_not_end_at_its_first_due_time(
    world: World, clock: FakeClock
) -> None:
    await create(world, group({"event": "Order Completed", "window": {"last_days": 1}}))
    person = order(world, 1, clock).subject_id
    await world.post(order(world, 1, clock))
    clock.advance(timedelta(hours=20))
    await world.post(order(world, 1, clock))
    clock.advance(timedelta(hours=20))
    assert crossings(await world.post(identify(world, 2))) == []
    clock.advance(timedelta(hours=4))
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", person)]


async def test_past_events_are_fetched_from_tracking_up_to_where_live_counting_begins(
    world: World, clock: FakeClock
) -> None:
    past = order(world, 1, clock, days_ago=3)
    await world.post(past)
    segment_id = await create(world, group(ORDERED_TWICE))
    live = await world.post(order(world, 1, clock, days_ago=1))
    assert crossings(live) == []
    assert (await world.get(f"/segments/{segment_id}"))["status"] == "backfilling"
    world.tracking.leaf_answers.append(
        leaf_answer(ORDERED_TWICE, {past.subject_id: [past.occurred_at]})
    )
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", past.subject_id)]
    assert {q["max_log_offset"] for q in world.tracking.leaf_queries} == {1}
    await world.ready(f"/api/v1/segments/{segment_id}", "status")


async def test_a_past_counted_for_a_profile_that_was_merged_since_is_the_survivors(
    world: World, clock: FakeClock
) -> None:
    anonymous = ("anonymous_id", "a1")
    at = math.floor(clock.now().timestamp() * 1000)
    past = world.event(anonymous, name="Order Completed", at=at)
    await world.post(past, identify(world, 1))
    await create(world, group(ORDERED_TWICE))
    await world.post(world.event(user(1), anonymous, name="Order Completed", at=at))
    world.tracking.leaf_answers.append(leaf_answer(ORDERED_TWICE, {past.subject_id: [at]}))
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", identify(world, 1).subject_id)]


async def test_a_merge_adds_up_counts_and_does_not_enter_twice(
    world: World, clock: FakeClock
) -> None:
    anonymous = ("anonymous_id", "a1")
    at = math.floor(clock.now().timestamp() * 1000)
    ordered = {"event": "Order Completed"}
    await create(world, group(ordered), "Once")
    await create(world, group({**ordered, "count": {"operator": ">=", "value": 2}}), "Twice")
    one = world.event(anonymous, name="Order Completed", at=at)
    other = world.event(user(1), name="Order Completed", at=at)
    changes = await world.post(one, other)
    assert [t for t, _ in crossings(changes)] == ["segment.entered"] * 2
    merged = await world.post(world.event(user(1), anonymous))
    assert crossings(merged) == [("segment.entered", other.subject_id)]


async def test_what_a_merged_profile_was_in_the_survivor_is_in_without_entering_again(
    world: World, clock: FakeClock
) -> None:
    anonymous = ("anonymous_id", "a1")
    segment_id = await create(world, group({"event": "Order Completed"}))
    bought = world.event(anonymous, name="Order Completed")
    assert crossings(await world.post(bought)) == [("segment.entered", bought.subject_id)]
    known = identify(world, 1)
    await world.post(known)
    assert crossings(await world.post(world.event(user(1), anonymous))) == []
    members = await world.get(f"/segments/{segment_id}/members")
    assert [m["profile_id"] for m in members["items"]] == [known.subject_id]


async def test_a_segment_of_a_segment_follows_it(world: World) -> None:
    inner = await create(world, group(PRO), "Inner")
    nested = {"field": "segment", "operator": "=", "value": inner}
    outer = await create(world, {**group(nested), "not": True}, "Outer")
    person = identify(world, 1, plan="free")
    assert [c.data["segment_id"] for c in await world.post(person) if "segment" in c.type] == [
        outer
    ]
    moved = await world.post(identify(world, 1, plan="pro"))
    assert [(c.type, c.data["segment_id"]) for c in moved if "segment" in c.type] == [
        ("segment.entered", inner),
        ("segment.exited", outer),
    ]
    refused = await world.call("DELETE", f"/api/v1/segments/{inner}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/segment-in-use")


async def test_a_circle_of_segments_is_refused(world: World) -> None:
    inner = await create(world, group(PRO), "Inner")
    of_inner = group({"field": "segment", "operator": "=", "value": inner})
    outer = await create(world, of_inner, "Outer")
    of_outer = group({"field": "segment", "operator": "=", "value": outer})
    answer = await world.call("PUT", f"/api/v1/segments/{inner}", {"name": "I", "rule": of_outer})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/rule"
    assert (await world.get(f"/segments/{inner}"))["name"] == "Inner"


async def test_a_replaced_rule_tells_only_differences(world: World) -> None:
    stays, leaves = identify(world, 1, plan="pro", vip=True), identify(world, 2, plan="pro")
    segment_id = await create(world, group(PRO))
    await world.post(stays, leaves)
    vip = {"field": "traits.vip", "operator": "=", "value": True}
    path = f"/api/v1/segments/{segment_id}"
    answer = await world.call("PUT", path, {"name": "VIPs", "rule": group(PRO, vip)})
    assert answer.json()["status"] == "backfilling"
    changes = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(changes) == [("segment.exited", leaves.subject_id)]


async def test_a_deleted_segment_is_gone(world: World) -> None:
    segment_id = await create(world, group(PRO))
    await world.post(identify(world, 1, plan="pro"))
    assert (await world.call("DELETE", f"/api/v1/segments/{segment_id}")).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await world.call(method, f"/api/v1/segments/{segment_id}")
        assert (gone.status_code, gone.json()["type"]) == (404, "/problems/segment-not-found")
    assert crossings(await world.post(identify(world, 1, plan="free"))) == []


async def test_a_preview_counts_without_saving(world: World, clock: FakeClock) -> None:
    bought = order(world, 1, clock)
    await world.post(bought, identify(world, 2, plan="pro"), identify(world, 3))
    once = {"event": "Order Completed"}
    world.tracking.leaf_answers.append(leaf_answer(once, {bought.subject_id: [bought.occurred_at]}))
    rule = group(PRO, once, combinator="or")
    answer = await world.call("POST", "/api/v1/segments/preview", {"rule": rule})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["count"], answer.json()["total"]) == (2, 3)
    assert set(answer.json()["sample"]) == {
        bought.subject_id,
        identify(world, 2).subject_id,
    }
    assert (await world.get("/segments"))["items"] == []
    unanswered = await world.call("POST", "/api/v1/segments/preview", {"rule": group(once)})
    assert unanswered.status_code == 503


async def test_a_preview_waits_for_no_event_that_is_still_being_loaded(
    world: World, clock: FakeClock
) -> None:
    await world.post(order(world, 1, clock))
    world.tracking.counts, world.tracking.loaded = True, 0
    rule = group({"event": "Order Completed"})
    answer = await world.call("POST", "/api/v1/segments/preview", {"rule": rule})
    assert (answer.status_code, answer.json().get("total")) == (200, 1)


async def test_segments_and_members_come_in_pages(world: World) -> None:
    ids = [await create(world, group(PRO), name) for name in ("One", "Two", "Three")]
    await world.post(*(identify(world, n, plan="pro") for n in range(3)))
    first = await world.get("/segments", limit=2)
    rest = await world.get("/segments", limit=2, cursor=first["next_cursor"])
    assert [s["id"] for s in first["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None
    path = f"/segments/{ids[0]}/members"
    page = await world.get(path, limit=2)
    last = await world.get(path, limit=2, cursor=page["next_cursor"])
    assert len({m["profile_id"] for m in page["items"] + last["items"]}) == 3
    internal = await world.call("GET", f"/internal/v1/segments/{ids[0]}/members?limit=2")
    following = internal.json()["next_cursor"]
    more = await world.call(
        "GET", f"/internal/v1/segments/{ids[0]}/members?limit=2&cursor={following}"
    )
    assert len(internal.json()["profile_ids"] + more.json()["profile_ids"]) == 3


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"rule": {"rules": [{"field": "computed.rfm", "operator": "notNull"}]}}, "#/rule"),
        ({"name": ""}, "#/name"),
        ({"name": "  "}, "#/name"),
        ({"colour": "red"}, "#/colour"),
        ({"rule": group({"field": "traits", "operator": "=", "value": 1})}, "#/rule/rules/0/field"),
        ({"rule": group({"field": "segment", "operator": "=", "value": str(uuid4())})}, "#/rule"),
    ],
)
async def test_a_segment_that_means_nothing_names_the_field(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "A segment", "rule": group(PRO)} | change
    answer = await world.call("POST", "/api/v1/segments", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await world.get("/segments"))["items"] == []


async def test_a_name_is_taken_once(world: World) -> None:
    await create(world, group(PRO), "Same")
    again = await world.call("POST", "/api/v1/segments", {"name": "Same", "rule": group(PRO)})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/segment-name-taken")
