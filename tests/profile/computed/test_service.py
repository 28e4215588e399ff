"""Computed traits while events come, people merge and windows end."""

from datetime import timedelta
from uuid import uuid4

import pytest

from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.computed.support import (
    ANONYMOUS,
    MANY,
    ORDERS,
    REVENUE,
    SINCE_ORDER,
    computed,
    create,
    create_segment,
    history,
    order,
    rows,
    told,
    user,
)
from tests.profile.conftest import World, settings
from tests.profile.merges.test_routes import merge
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio


async def test_a_value_changes_within_the_block_that_changes_it_and_is_told_once(
    world: World, clock: FakeClock
) -> None:
    await create(world, "orders", ORDERS)
    await create(world, "revenue", REVENUE)
    await create(world, "largest", {**REVENUE, "kind": "max"})
    first = order(world, clock, total=0.1)
    changes = await world.post(first, order(world, clock, total=0.2))
    assert told(changes) == [("largest", 0.2), ("orders", 2), ("revenue", 0.3)]
    assert [c.type for c in changes][:2] == ["event", "event"]
    again = await world.post(order(world, clock, total="12"))
    assert told(again) == [("orders", 3)]
    less = await world.post(order(world, clock, total=0.1))
    assert told(less) == [("orders", 4), ("revenue", 0.4)]
    values = {"orders": 4, "revenue": 0.4, "largest": 0.2}
    assert await computed(world, first.subject_id) == values
    assert told(await world.post(world.event(user(1), name="Page Viewed"))) == []


async def test_a_rule_that_reads_a_computed_trait_follows_it(
    world: World, clock: FakeClock
) -> None:
    await create(world, "orders", ORDERS)
    await create_segment(world, "Regulars", "computed.orders", ">=", 2)
    assert "segment.entered" not in {c.type for c in await world.post(order(world, clock))}
    changes = await world.post(order(world, clock))
    assert [c.type for c in changes] == ["event", "trait.computed", "segment.entered"]


async def test_a_window_that_ends_changes_the_value_by_the_clock_alone(
    world: World, clock: FakeClock
) -> None:
    await create(world, "orders_64d", {**ORDERS, "window": {"last_days": 64}})
    await create_segment(world, "Active", "computed.orders_64d", ">=", 1)
    bought = order(world, clock)
    await world.post(order(world, clock, days_ago=10), bought)
    assert await computed(world, bought.subject_id) == {"orders_64d": 2}
    clock.advance(timedelta(days=53))
    assert await world.feed(wait=0.05) == []
    clock.advance(timedelta(days=2))
    fewer = await world.until(lambda c: c.type == "trait.computed")
    assert told(fewer) == [("orders_64d", 1)]
    clock.advance(timedelta(days=10))
    none = await world.until(lambda c: c.type == "segment.exited")
    assert told(none) == [("orders_64d", None)]
    assert await computed(world, bought.subject_id) == {}


async def test_days_grow_by_themselves_and_rules_are_asked_at_each_day(
    world: World, clock: FakeClock
) -> None:
    await create(world, "since_order", SINCE_ORDER)
    bought = order(world, clock)
    assert told(await world.post(bought)) == [("since_order", 0)]
    clock.advance(timedelta(days=2))
    assert await computed(world, bought.subject_id) == {"since_order": 2}
    lapsed = await create_segment(world, "Lapsed", "computed.since_order", ">=", 3)
    clock.advance(timedelta(days=1) - timedelta(milliseconds=1))
    assert await world.feed(wait=0.05) == []
    clock.advance(timedelta(milliseconds=1))
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert [c.type for c in entered] == ["segment.entered"]
    rule = {"rules": [{"field": "computed.since_order", "operator": "=", "value": 3}]}
    preview = await world.call("POST", "/api/v1/segments/preview", {"rule": rule})
    assert preview.json()["sample"] == [bought.subject_id]
    back = await world.post(order(world, clock))
    assert [c.data.get("segment_id") for c in back if c.type == "segment.exited"] == [lapsed]


async def test_a_merge_adds_up_what_both_did(world: World, clock: FakeClock) -> None:
    await create(world, "revenue", REVENUE)
    await create(world, "last_item", {**REVENUE, "kind": "last", "property": "item"})
    anonymous = order(world, clock, ANONYMOUS, total=5, item="book")
    known = order(world, clock, days_ago=1, total=7, item="pen")
    await world.post(anonymous)
    await world.post(known)
    merged = await world.post(world.event(user(1), ANONYMOUS))
    assert sorted(told(merged)) == [("last_item", "book"), ("revenue", 12)]
    assert await computed(world, anonymous.subject_id) == {"last_item": "book", "revenue": 12}


async def test_a_merge_by_hand_adds_up_what_both_did(world: World, clock: FakeClock) -> None:
    await create(world, "orders", ORDERS)
    one, other = order(world, clock), order(world, clock, user(2))
    await world.post(one, other, order(world, clock, user(2)))
    await merge(world, one.subject_id, other.subject_id)
    assert await computed(world, other.subject_id) == {"orders": 3}
    await world.post(order(world, clock, user(2)))
    assert await computed(world, one.subject_id) == {"orders": 4}


async def test_the_log_read_in_other_blocks_gives_equal_values_and_states(
    database: NewDatabase, clock: FakeClock
) -> None:
    workspace_id, seen = uuid4(), []
    for size in (1, 2, 9):
        home, fake = database("profile"), FakeTracking()
        async with fake.serving():
            how = settings(home, fake).model_copy(update={"block_rows": size})
            async with running(create_app(how, clock)) as client:
                world = World(client, fake, workspace_id)
                for index, definition in enumerate(MANY):
                    await create(world, f"t{index}", definition)
                for event in history(world, clock):
                    fake.append(workspace_id, event)
                await world.until(lambda c: c.data.get("message_id") == "8")
        seen.append(
            [
                await rows(home, "SELECT profile_id, computed FROM profile ORDER BY 1"),
                await rows(home, "SELECT * FROM computed_state ORDER BY aggregate_id, profile_id"),
            ]
        )
    assert seen[0] == seen[1] == seen[2]
    profiles, states = seen[0]
    assert [len(p.computed) for p in profiles] == [len(MANY)] * 2
    assert len(states) == 2 * len(MANY)
