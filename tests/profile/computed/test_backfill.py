"""The past of computed traits: fetched, laid beside what is counted live, added up."""

from uuid import UUID

import pytest
from fastapi import Response

from services.kit.auth import TokenSigner
from services.kit.http import ServiceClient
from services.profile.computed import past as past_of
from services.profile.computed.aggregates import StoredAggregate
from services.rules.aggregates import aggregate_of, value_of
from tests.profile.clock import FakeClock
from tests.profile.computed.support import (
    ANONYMOUS,
    ORDERS,
    REVENUE,
    computed,
    create,
    create_segment,
    order,
    past,
    told,
    user,
)
from tests.profile.conftest import World
from tests.support.app import signing_key

pytestmark = pytest.mark.anyio


async def test_the_past_is_fetched_up_to_where_live_counting_begins(
    world: World, clock: FakeClock
) -> None:
    before = [order(world, clock, total=5), order(world, clock, ANONYMOUS, total=2)]
    await world.post(*before)
    body = {"name": "revenue", **REVENUE}
    made = (await world.call("POST", "/api/v1/computed-traits", body)).json()
    assert (made["status"], made["progress"]) == ("backfilling", 0)
    path = f"/computed-traits/{made['id']}"
    assert told(await world.post(order(world, clock, total=1))) == []
    # The anonymous person's past arrives after it became the known one's.
    await world.post(world.event(user(1), ANONYMOUS))
    world.tracking.aggregate_answers.append(past(REVENUE, before))
    changes = await world.until(lambda c: c.type == "trait.computed")
    assert told(changes) == [("revenue", 8)]
    assert {q["max_log_offset"] for q in world.tracking.aggregate_queries} == {1}
    ready = await world.ready(f"/api/v1{path}", "status")
    assert ready["progress"] == 1
    assert told(await world.post(order(world, clock, total=1))) == [("revenue", 9)]


async def test_a_fetch_that_breaks_off_begins_anew_and_counts_nothing_twice(
    world: World, clock: FakeClock
) -> None:
    before = [order(world, clock, total=5), order(world, clock, ANONYMOUS, total=2)]
    await world.post(*before)
    half = Response(bytes(past(REVENUE, before).body)[:-20])
    world.tracking.aggregate_answers.extend([half, past(REVENUE, before)])
    await world.call("POST", "/api/v1/computed-traits", {"name": "revenue", **REVENUE})
    await world.until(lambda c: c.type == "trait.computed")
    await world.post(world.event(user(1), ANONYMOUS))
    assert await computed(world, before[0].subject_id) == {"revenue": 7}


async def test_a_replaced_definition_shows_its_own_values_once_they_are_known(
    world: World, clock: FakeClock
) -> None:
    path = await create(world, "value", REVENUE)
    paid = [order(world, clock, total=3), order(world, clock, total=9)]
    other = order(world, clock, user(2), total=4)
    await world.post(*paid, other)
    largest = {**REVENUE, "kind": "max"}
    await world.call("PUT", path, {"name": "value", **largest})
    assert told(await world.until(lambda c: c.type == "trait.computed")) == [("value", 9)]
    await world.ready(path, "status")
    visits = {"kind": "count", "event": "Page Viewed"}
    world.tracking.aggregate_answers.append(past(visits, []))
    await world.call("PUT", path, {"name": "value", **visits})
    gone = await world.until(lambda c: c.type == "trait.computed")
    assert sorted(told(gone)) == [("value", None), ("value", None)]
    renamed = await world.call("PUT", path, {"name": "worth", **visits})
    assert renamed.json()["errors"][0]["pointer"] == "#/name"


async def test_a_deleted_trait_leaves_the_profiles_and_frees_its_name(
    world: World, clock: FakeClock
) -> None:
    path = await create(world, "orders", ORDERS)
    bought = order(world, clock)
    await world.post(bought)
    segment_id = await create_segment(world, "Buyers", "computed.orders", ">=", 1)
    used = await world.call("DELETE", path)
    assert (used.status_code, used.json()["type"]) == (409, "/problems/computed-trait-in-use")
    await world.call("DELETE", f"/api/v1/segments/{segment_id}")
    assert (await world.call("DELETE", path)).status_code == 204
    assert (await world.call("GET", path)).json()["type"] == "/problems/computed-trait-not-found"
    while await computed(world, bought.subject_id):
        await world.feed(wait=0.02)
    world.tracking.aggregate_answers.append(past(REVENUE, []))
    await create(world, "orders", REVENUE)


async def test_what_subjects_did_can_be_counted_again_each_by_itself(
    world: World, clock: FakeClock
) -> None:
    events = [order(world, clock, total=5), order(world, clock, ANONYMOUS, total=2)]
    aggregate = aggregate_of(REVENUE)
    counted = [StoredAggregate(aggregate.aggregate_id, REVENUE, 0, "ready", None)]
    world.tracking.aggregate_answers.append(past(REVENUE, events))
    tracking = ServiceClient(
        "tracking", world.tracking.url, TokenSigner("profile", signing_key("profile"))
    )
    subjects = [UUID(event.subject_id) for event in events]
    found = await past_of.recount(tracking, world.workspace_id, counted, subjects, 7)
    await tracking.close()
    totals = {subject: value_of("sum", state, aggregate, 0) for _, subject, state in found}
    assert totals == {events[0].subject_id: 5, events[1].subject_id: 2}
    (query,) = world.tracking.aggregate_queries
    assert query["subject_ids"] == [str(subject) for subject in subjects]
    assert query["max_log_offset"] == 7
