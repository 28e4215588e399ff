"""Events of two people who were one are counted anew; until then both stand still."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from services.contracts.changes import Change
from tests.profile.clock import FakeClock
from tests.profile.computed.support import (
    ORDERS,
    REVENUE,
    computed,
    create,
    create_segment,
    order,
)
from tests.profile.conftest import World
from tests.profile.merges.test_routes import U1, U2, merge, undo
from tests.profile.tracking import arrow

pytestmark = pytest.mark.anyio


async def segment(world: World, name: str, *rules: Any) -> str:
    body = {"name": name, "rule": {"combinator": "and", "rules": list(rules)}}
    answer = await world.call("POST", "/api/v1/segments", body)
    assert answer.status_code == 201, answer.text
    await world.ready(f"/api/v1/segments/{answer.json()['id']}", "status")
    return str(answer.json()["id"])


def bought(times: int) -> Any:
    return {"event": "Bought", "did": True, "count": {"operator": ">=", "value": times}}


async def counted_anew(world: World, merge_id: str) -> None:
    async with asyncio.timeout(10):
        while (await world.get(f"/merges/{merge_id}"))["recounting"]:
            await world.feed(wait=0.02)


def about(changes: list[Change], kind: str) -> set[tuple[str, str]]:
    return {(c.profile_id, c.data["segment_id"]) for c in changes if c.type == kind}


async def test_events_are_counted_anew_for_both_and_only_differences_are_told(
    world: World,
) -> None:
    world.tracking.counts = True
    buys = [world.event(u, name="Bought") for u in (U1, U1, U2)]
    await world.post(*buys)
    some, many = await segment(world, "Some", bought(1)), await segment(world, "Many", bought(3))
    one, other = buys[0].subject_id, buys[2].subject_id
    answer = await merge(world, one, other)
    changes = await world.until(lambda c: c.type == "segment.entered" and c.profile_id == one)
    assert (one, many) in about(world.seen, "segment.entered")
    await undo(world, answer["id"])
    changes = await world.until(lambda c: c.type == "segment.exited" and c.profile_id == other)
    assert about(changes, "segment.exited") == {(one, many), (other, many)}
    assert about(changes, "segment.entered") == set(), "nobody enters what the person was in"
    changes = await world.post(world.event(U1, name="Bought"), world.event(U2, name="Bought"))
    assert about(changes, "segment.entered") == {(one, many)}
    detail = await world.get(f"/merges/{answer['id']}")
    assert detail["survivor"]["segments"] == [some]
    assert [e["type"] for e in detail["merge_effects"]] == ["segment.entered"]
    assert {(e["type"], e["profile_id"]) for e in detail["undo_effects"]} == {
        ("segment.exited", one),
        ("segment.exited", other),
    }
    assert detail["recounting"] is False


async def test_both_stand_still_until_tracking_can_count(world: World) -> None:
    world.tracking.counts = True
    await world.post(*[world.event(u, name="Bought") for u in (U1, U2)])
    one, other = (world.event(u).subject_id for u in (U1, U2))
    both, pro = (
        await segment(world, "Both", bought(2)),
        await segment(world, "Pro", {"field": "traits.plan", "operator": "=", "value": "pro"}),
    )
    answer = await merge(world, one, other)
    world.tracking.counts = False
    await undo(world, answer["id"])
    await world.until(lambda c: c.type == "profile.unmerged")
    assert (await world.get(f"/merges/{answer['id']}"))["recounting"] is True
    changes = await world.post(
        world.event(U2, type="identify", traits={"plan": "pro"}), world.event(U2, name="Bought")
    )
    assert not [c for c in changes if c.type.startswith("segment.")]
    held = (await world.get(f"/profiles/{other}/segments"))["items"]
    assert [s["segment_id"] for s in held] == [both]
    # A third person takes over one that is not counted yet, and is counted anew as well.
    third = world.event(("user_id", "u3"), name="Bought")
    await world.post(third)
    await merge(world, third.subject_id, other)
    world.tracking.counts = True
    changes = await world.until(
        lambda c: c.type == "segment.entered" and c.data["segment_id"] == pro
    )
    assert about(world.seen + changes, "segment.entered") >= {(third.subject_id, pro)}
    held = (await world.get(f"/profiles/{third.subject_id}/segments"))["items"]
    assert {s["segment_id"] for s in held} == {both, pro}
    assert (await world.get(f"/profiles/{one}/segments"))["items"] == []


async def test_rules_about_events_of_somebody_half_counted_are_not_answered(world: World) -> None:
    world.tracking.counts = True
    await world.post(*[world.event(u, name="Bought") for u in (U1, U2)])
    one, other = (world.event(u).subject_id for u in (U1, U2))
    rules = {str(uuid4()): bought(1), str(uuid4()): None}
    for rule_id, node in rules.items():
        node = node or {"field": "traits.plan", "operator": "=", "value": "pro"}
        tree = {"combinator": "and", "rules": [node]}
        body = {"kind": "journey", "owner": "test", "rule": tree}
        await world.call("PUT", f"/internal/v1/rules/{rule_id}", body)
        await world.ready(f"/internal/v1/rules/{rule_id}")
    made = await merge(world, one, other)
    # Tracking answers the trial, and then no more.
    world.tracking.counts = False
    world.tracking.leaf_answers.append(arrow([]))
    asked = len(world.tracking.leaf_queries)
    await undo(world, made["id"])
    async with asyncio.timeout(10):
        while len(world.tracking.leaf_queries) < asked + 2:
            await world.feed(wait=0.02)

    async def facts(rule_id: str) -> int:
        body = {"rule_ids": [rule_id], "profile_ids": [one, other]}
        return (await world.call("POST", "/internal/v1/facts", body)).status_code

    assert [await facts(rule_id) for rule_id in rules] == [503, 200]
    world.tracking.counts = True
    await counted_anew(world, made["id"])
    assert [await facts(rule_id) for rule_id in rules] == [200, 200]


async def test_computed_traits_are_counted_anew_for_both_and_rules_follow_them(
    world: World, clock: FakeClock
) -> None:
    world.tracking.counts = True
    buys = [order(world, clock, u, total=n) for u, n in ((U1, 1), (U1, 2), (U2, 4))]
    await world.post(*buys)
    for name, definition in (("orders", ORDERS), ("revenue", REVENUE)):
        await create(world, name, definition)
    many = await create_segment(world, "Many", "computed.orders", ">=", 3)
    one, other = buys[0].subject_id, buys[2].subject_id
    made = await merge(world, one, other)
    await world.post(order(world, clock, U2, total=8))
    assert await computed(world, one) == {"orders": 4, "revenue": 15}
    # What happens while tracking cannot say changes no value.
    world.tracking.counts = False
    await undo(world, made["id"])
    await world.post(order(world, clock, U2, total=16))
    assert await computed(world, one) == {"orders": 4, "revenue": 15}
    assert await computed(world, other) == {}
    world.tracking.counts = True
    await world.until(lambda c: c.type == "segment.exited" and c.profile_id == one)
    assert await computed(world, one) == {"orders": 2, "revenue": 3}
    assert await computed(world, other) == {"orders": 3, "revenue": 28}
    latest = {(c.profile_id, *c.data.values()) for c in world.seen if c.type == "trait.computed"}
    assert {(one, "orders", 2), (other, "orders", 3), (other, "revenue", 28)} <= latest
    held = (await world.get(f"/profiles/{other}/segments"))["items"]
    assert [s["segment_id"] for s in held] == [many]
    await world.post(order(world, clock, U1, total=1))
    assert await computed(world, one) == {"orders": 3, "revenue": 4}


async def test_the_past_of_a_new_trait_waits_until_tracking_knows_of_the_undo(
    world: World, clock: FakeClock
) -> None:
    world.tracking.counts = True
    await world.post(*[order(world, clock, u) for u in (U1, U2)])
    one, other = (world.event(u).subject_id for u in (U1, U2))
    made = await merge(world, one, other)
    await world.until(lambda c: c.type == "profile.merged")
    before = world.offset
    await undo(world, made["id"])
    await world.until(lambda c: c.type == "profile.unmerged")
    await create(world, "orders", ORDERS)
    (query,) = [q for q in world.tracking.aggregate_queries if q.get("subject_ids") is None]
    assert query["min_feed_offset"] > before
    await counted_anew(world, made["id"])
    assert [await computed(world, each) for each in (one, other)] == [{"orders": 1}] * 2
