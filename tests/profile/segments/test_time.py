"""Segments of what happened in order, of what did not follow, of what lasted, and of a share."""

import math
from datetime import timedelta
from typing import Any

import pytest

from services.contracts.events import Event
from services.rules import bucket
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.segments.test_routes import (
    PRO,
    create,
    crossings,
    group,
    identify,
    leaf_answer,
    user,
)

pytestmark = pytest.mark.anyio

STARTED, PAID = "Checkout Started", "Order Completed"
DAY, MS = timedelta(days=1), timedelta(milliseconds=1)


def did(world: World, number: int, name: str, clock: FakeClock, ago: timedelta = MS * 0) -> Event:
    at = math.floor((clock.now() - ago).timestamp() * 1000)
    return world.event(user(number), name=name, at=at)


def in_order(**more: Any) -> dict[str, Any]:
    return {"sequence": [{"event": STARTED}, {"event": PAID}], **more}


def given_up(**more: Any) -> dict[str, Any]:
    return {"sequence": [{"event": STARTED}, {"event": PAID, "did": False}], **more}


def held(rule: dict[str, Any], **length: int) -> dict[str, Any]:
    return {"held": group(rule), "for": length}


async def leaves_nothing_until(world: World, clock: FakeClock, length: timedelta) -> None:
    """Move the clock to one ms before the moment, see that nothing is told, and move it on."""
    clock.advance(length - MS)
    assert await world.feed(wait=0.05) == []
    clock.advance(MS)


async def test_a_sequence_moves_a_person_in_and_the_clock_moves_them_out(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(in_order(within={"days": 2}, window={"last_days": 7})))
    started = did(world, 1, STARTED, clock, ago=DAY)
    assert crossings(await world.post(started)) == []
    entered = await world.post(did(world, 1, PAID, clock))
    assert crossings(entered) == [("segment.entered", started.subject_id)]
    await leaves_nothing_until(world, clock, 6 * DAY)
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", started.subject_id)]


async def test_a_first_step_that_arrives_late_completes_a_sequence(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(in_order(within={"days": 2})))
    paid = did(world, 1, PAID, clock)
    too_early = did(world, 1, STARTED, clock, ago=2 * DAY)
    assert crossings(await world.post(paid)) == []
    assert crossings(await world.post(too_early)) == []
    late = did(world, 1, STARTED, clock, ago=2 * DAY - MS)
    assert crossings(await world.post(late)) == [("segment.entered", paid.subject_id)]


async def test_what_did_not_follow_in_time_is_told_at_that_moment(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(given_up(within={"seconds": 3600}, window={"last_days": 2})))
    waiting, buying = did(world, 1, STARTED, clock), did(world, 2, STARTED, clock)
    assert crossings(await world.post(waiting, buying)) == []
    clock.advance(timedelta(minutes=30))
    assert crossings(await world.post(did(world, 2, PAID, clock))) == []
    await leaves_nothing_until(world, clock, timedelta(minutes=30))
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", waiting.subject_id)]
    await leaves_nothing_until(world, clock, 2 * DAY - timedelta(hours=1))
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", waiting.subject_id)]


async def test_a_late_last_step_takes_back_that_it_did_not_follow(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(given_up(within={"seconds": 3600})))
    started = did(world, 1, STARTED, clock, ago=timedelta(hours=2))
    assert crossings(await world.post(started)) == [("segment.entered", started.subject_id)]
    after_all = await world.post(did(world, 1, PAID, clock, ago=timedelta(minutes=90)))
    assert crossings(after_all) == [("segment.exited", started.subject_id)]


async def test_the_past_of_a_sequence_is_fetched_step_by_step(
    world: World, clock: FakeClock
) -> None:
    past = did(world, 1, STARTED, clock, ago=DAY)
    await world.post(past)
    twice = {"sequence": [{"event": STARTED}, {"event": STARTED}]}
    world.tracking.leaf_answers.append(leaf_answer(twice, {past.subject_id: [past.occurred_at]}))
    segment_id = await create(world, group(in_order()))
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    entered = await world.post(did(world, 1, PAID, clock))
    assert crossings(entered) == [("segment.entered", past.subject_id)]
    (query,) = world.tracking.leaf_queries
    assert query["max_log_offset"] == 1


async def test_a_merge_puts_the_steps_of_both_in_order(world: World, clock: FakeClock) -> None:
    anonymous = ("anonymous_id", "a1")
    at = math.floor(clock.now().timestamp() * 1000)
    await create(world, group(in_order()))
    await world.post(world.event(anonymous, name=STARTED, at=at - 1), did(world, 1, PAID, clock))
    known = identify(world, 1).subject_id
    merged = await world.post(world.event(user(1), anonymous))
    assert crossings(merged) == [("segment.entered", known)]


async def test_what_has_held_so_long_is_told_at_that_moment(world: World, clock: FakeClock) -> None:
    await create(world, group(held(PRO, days=3)))
    stays, returns = identify(world, 1, plan="pro"), identify(world, 2, plan="pro")
    assert crossings(await world.post(stays, returns)) == []
    clock.advance(DAY)
    await world.post(identify(world, 2, plan="free"))
    await world.post(identify(world, 2, plan="pro"))
    await leaves_nothing_until(world, clock, 2 * DAY)
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", stays.subject_id)]
    left = await world.post(identify(world, 1, plan="free"))
    assert crossings(left) == [("segment.exited", stays.subject_id)]
    await leaves_nothing_until(world, clock, DAY)
    again = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(again) == [("segment.entered", returns.subject_id)]


async def test_what_has_held_may_itself_begin_with_an_event_and_end_by_the_clock(
    world: World, clock: FakeClock
) -> None:
    await create(world, group(held({"event": PAID, "window": {"last_days": 7}}, days=2)))
    paid = did(world, 1, PAID, clock)
    assert crossings(await world.post(paid)) == []
    for later, told in ((2, "segment.entered"), (5, "segment.exited")):
        await leaves_nothing_until(world, clock, later * DAY)
        changes = await world.until(lambda c: "segment" in c.type)
        assert crossings(changes) == [(told, paid.subject_id)]


async def test_how_long_somebody_is_in_a_segment_counts_from_when_they_entered(
    world: World, clock: FakeClock
) -> None:
    inner = await create(world, group(PRO), "Pro")
    member = identify(world, 1, plan="pro")
    await world.post(member)
    clock.advance(2 * DAY)
    in_segment = {"field": "segment", "operator": "=", "value": inner}
    outer = await create(world, group(held(in_segment, days=3)), "Three days pro")
    await world.ready(f"/api/v1/segments/{outer}", "status")
    await leaves_nothing_until(world, clock, DAY)
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", member.subject_id)]
    both = {"held": group(in_segment, PRO), "for": {"days": 3}}
    await create(world, group(both), "Three days both")
    assert (await world.call("DELETE", f"/api/v1/segments/{outer}")).status_code == 204
    refused = await world.call("DELETE", f"/api/v1/segments/{inner}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/segment-in-use")


async def test_whoever_a_new_rule_already_holds_for_waits_from_then_on(
    world: World, clock: FakeClock
) -> None:
    member = identify(world, 1, plan="pro")
    await world.post(member)
    segment_id = await create(world, group(held(PRO, seconds=60)))
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    longer = await create(world, group(held(PRO, seconds=90)), "Longer")
    await world.ready(f"/api/v1/segments/{longer}", "status")
    for later, expected in ((60, segment_id), (30, longer)):
        await leaves_nothing_until(world, clock, timedelta(seconds=later))
        entered = await world.until(lambda c: c.type == "segment.entered")
        assert [c.data for c in entered] == [{"segment_id": expected}]


async def test_what_nobody_asks_about_any_longer_is_forgotten(
    world: World, clock: FakeClock
) -> None:
    one = await create(world, group(held(PRO, days=1)), "One")
    other = await create(world, group(held(PRO, days=2)), "Other")
    await world.post(identify(world, 1, plan="pro"))
    clock.advance(DAY)
    await world.until(lambda c: c.type == "segment.entered")
    for segment_id in (one, other):
        assert (await world.call("DELETE", f"/api/v1/segments/{segment_id}")).status_code == 204
    again = await create(world, group(held(PRO, days=1)), "Again")
    await world.ready(f"/api/v1/segments/{again}", "status")
    await leaves_nothing_until(world, clock, DAY)
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [("segment.entered", identify(world, 1).subject_id)]


async def test_a_journey_may_ask_what_has_held_without_watching_it(
    world: World, clock: FakeClock
) -> None:
    rule_id = "01890000-0000-7000-8000-000000000001"
    path = f"/internal/v1/rules/{rule_id}"
    body = {"kind": "journey", "owner": "a branch", "rule": group(held(PRO, days=1))}
    assert (await world.call("PUT", path, body)).status_code == 200
    await world.ready(path)
    member = identify(world, 1, plan="pro")
    await world.post(member)
    asked = {"rule_ids": [rule_id], "profile_ids": [member.subject_id], "min_position": 0}
    for later, expected in ((DAY - MS, False), (MS, True)):
        clock.advance(later)
        facts = (await world.call("POST", "/internal/v1/facts", asked)).json()
        assert facts["profiles"][0]["rules"] == {rule_id: expected}


async def test_a_share_of_people_is_drawn_by_the_canonical_id(world: World) -> None:
    half = {"field": "bucket.spring", "operator": "<", "value": 5000}
    segment_id = await create(world, group(half))
    people = [identify(world, number) for number in range(20)]
    await world.post(*people)
    drawn = {p.subject_id for p in people if bucket("spring", p.subject_id) < 5000}
    assert 0 < len(drawn) < 20
    members = await world.get(f"/segments/{segment_id}/members")
    assert {m["profile_id"] for m in members["items"]} == drawn
    preview = await world.call("POST", "/api/v1/segments/preview", {"rule": group(half)})
    assert preview.json()["count"] == len(drawn)


async def test_a_merge_leaves_the_survivor_in_its_share(world: World) -> None:
    half = {"field": "bucket.spring", "operator": "<", "value": 5000}
    segment_id = await create(world, group(half))
    for number in range(4):
        anonymous = ("anonymous_id", f"a{number}")
        await world.post(identify(world, number), world.event(anonymous))
        await world.post(world.event(user(number), anonymous))
    known = {identify(world, number).subject_id for number in range(4)}
    members = await world.get(f"/segments/{segment_id}/members")
    drawn = {profile_id for profile_id in known if bucket("spring", profile_id) < 5000}
    assert {m["profile_id"] for m in members["items"]} == drawn


async def test_a_preview_knows_sequences_and_what_has_held(world: World, clock: FakeClock) -> None:
    await create(world, group(in_order()), "In order")
    await create(world, group(held(PRO, days=1)), "Pro for a day")
    bought = did(world, 1, PAID, clock)
    await world.post(did(world, 1, STARTED, clock, ago=DAY), bought, identify(world, 2, plan="pro"))
    clock.advance(DAY)
    rules = {
        "in order": (group(in_order(window={"last_days": 3})), 503),
        "registered": (group(in_order(within={"days": 2})), 1),
        "too slow": (group(in_order(within={"days": 1})), 0),
        "given up": (group(given_up(within={"days": 1})), 1),
        "held": (group(held(PRO, seconds=60)), 1),
        "not yet": (group(held(PRO, days=2)), 0),
        "never asked": (group(held({**PRO, "value": "free"}, seconds=1)), 0),
    }
    for name, (rule, expected) in rules.items():
        answer = await world.call("POST", "/api/v1/segments/preview", {"rule": rule})
        found = answer.json()["count"] if answer.status_code == 200 else answer.status_code
        assert (name, found) == (name, expected)


@pytest.mark.parametrize(
    ("node", "pointer"),
    [
        (in_order(within={"seconds": 5, "days": 1}), "#/rule/rules/0/within"),
        (given_up(within={"days": 2}, window={"last_days": 2}), "#/rule/rules/0/within"),
        (held({"field": "computed.nothing", "operator": ">", "value": 5}, days=1), "#/rule"),
        ({"field": "bucket.a", "operator": "<", "value": 10_001}, "#/rule/rules/0/value"),
    ],
)
async def test_what_means_nothing_names_the_field(
    world: World, node: dict[str, Any], pointer: str
) -> None:
    body = {"name": "A segment", "rule": group(node)}
    answer = await world.call("POST", "/api/v1/segments", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
