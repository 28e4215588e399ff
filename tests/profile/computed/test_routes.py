"""Computed traits over HTTP: defined, filled from the past, kept true and told of."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pyarrow as pa
import pytest
from fastapi import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.changes import Change
from services.contracts.events import Event
from services.profile.main import create_app
from services.rules.aggregates import EMPTY, aggregate_of, to_json, update
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

ORDERS = {"kind": "count", "event": "Order Completed"}
REVENUE = {"kind": "sum", "event": "Order Completed", "property": "total"}
SINCE_ORDER = {"kind": "days_since_last", "event": "Order Completed"}
ANONYMOUS = ("anonymous_id", "a1")


def user(number: int) -> tuple[str, str]:
    return ("user_id", f"u{number}")


def order(
    world: World, clock: FakeClock, *named: tuple[str, str], days_ago: float = 0, **properties: Any
) -> Event:
    at = math.floor((clock.now() - timedelta(days=days_ago)).timestamp() * 1000)
    named = named or (user(1),)
    return world.event(*named, name="Order Completed", at=at, properties=properties)


async def create(world: World, name: str, definition: dict[str, Any]) -> str:
    """A computed trait that is ready; its past, if there is any, must have been provided."""
    answer = await world.call("POST", "/api/v1/computed-traits", {"name": name, **definition})
    assert answer.status_code == 201, answer.text
    path = f"/api/v1/computed-traits/{answer.json()['id']}"
    await world.ready(path, "status")
    return path


async def create_segment(world: World, name: str, field: str, operator: str, value: Any) -> str:
    rule = {"rules": [{"field": field, "operator": operator, "value": value}]}
    answer = await world.call("POST", "/api/v1/segments", {"name": name, "rule": rule})
    assert answer.status_code == 201, answer.text
    segment_id: str = answer.json()["id"]
    await world.ready(f"/api/v1/segments/{segment_id}", "status")
    return segment_id


def told(changes: list[Change]) -> list[tuple[str, Any]]:
    return [(c.data["name"], c.data["value"]) for c in changes if c.type == "trait.computed"]


async def computed(world: World, profile_id: str) -> Any:
    return (await world.get(f"/profiles/{profile_id}"))["computed"]


def past(definition: dict[str, Any], events: Iterable[Event]) -> Response:
    """What tracking answers about an aggregate after these events, each subject by itself."""
    aggregate = aggregate_of(definition)
    by_subject: dict[str, list[Any]] = {}
    for event in events:
        properties = httpx2.Response(200, text=event.properties).json()
        sample = aggregate.sample(properties, event.occurred_at)
        by_subject.setdefault(event.subject_id, []).append(sample)
    states = {
        subject: to_json(update(EMPTY, aggregate, samples), aggregate)
        for subject, samples in by_subject.items()
    }
    table = pa.table(
        {
            "aggregate_id": [aggregate.aggregate_id] * len(states),
            "profile_id": list(states),
            "state": list(states.values()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes())


async def test_a_value_changes_within_the_block_that_changes_it_and_is_told_once(
    world: World, clock: FakeClock
) -> None:
    await create(world, "orders", ORDERS)
    await create(world, "revenue", REVENUE)
    first = order(world, clock, total=0.1)
    changes = await world.post(first, order(world, clock, total=0.2))
    assert told(changes) == [("orders", 2), ("revenue", 0.3)]
    assert [c.type for c in changes][:2] == ["event", "event"]
    again = await world.post(order(world, clock, total="12"))
    assert told(again) == [("orders", 3)]
    assert await computed(world, first.subject_id) == {"orders": 3, "revenue": 0.3}
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
    half = past(REVENUE, before)
    half.body = half.body[:-20]
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


async def test_facts_and_traits_come_in_pages(world: World, clock: FakeClock) -> None:
    names = ["one", "two", "three"]
    for name in names:
        await create(world, name, ORDERS)
    first = await world.get("/computed-traits", limit=2)
    rest = await world.get("/computed-traits", limit=2, cursor=first["next_cursor"])
    assert [t["name"] for t in first["items"] + rest["items"]] == names
    bought = order(world, clock)
    await world.post(bought)
    body = {"profile_ids": [bought.subject_id]}
    facts = (await world.call("POST", "/internal/v1/facts", body)).json()["profiles"]
    assert facts[0]["computed"] == dict.fromkeys(names, 1)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "median"}, "#/kind"),
        ({"kind": "sum"}, "#/property"),
        ({"property": "total"}, "#/property"),
        ({"kind": "sum", "property": "a..b"}, "#/property"),
        ({"event": ""}, "#/event"),
        ({"window": {"last_days": 3, "last_seconds": 3}}, "#/window"),
        ({"window": {}}, "#/window"),
        ({"where": {"not": True, "rules": []}}, "#/where"),
        (
            {"where": {"rules": [{"field": "traits.a", "operator": "=", "value": 1}]}},
            "#/where/rules/0/field",
        ),
        ({"name": "two words"}, "#/name"),
        ({"colour": "red"}, "#/colour"),
        ({"description": {"fr": "non"}}, "#/description/fr"),
    ],
)
async def test_a_trait_that_means_nothing_names_the_field(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "orders", **ORDERS} | change
    answer = await world.call("POST", "/api/v1/computed-traits", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await world.get("/computed-traits"))["items"] == []


async def test_a_rule_reads_only_what_exists(world: World) -> None:
    rule = {"rules": [{"field": "computed.nothing", "operator": "notNull"}]}
    for path, body in (
        ("/api/v1/segments", {"name": "S", "rule": rule}),
        ("/api/v1/segments/preview", {"rule": rule}),
    ):
        answer = await world.call("POST", path, body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == "#/rule"


async def test_a_name_is_taken_once(world: World) -> None:
    await create(world, "orders", ORDERS)
    answer = await world.call("POST", "/api/v1/computed-traits", {"name": "orders", **REVENUE})
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/computed-trait-name-taken"


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


MANY = [
    ORDERS,
    {**REVENUE, "window": {"last_days": 64}},
    {**REVENUE, "kind": "most_frequent", "property": "item"},
    {**REVENUE, "kind": "first", "property": "item"},
    {**REVENUE, "kind": "unique_list", "property": "item", "window": {"last_days": 64}},
]


def history(world: World, clock: FakeClock) -> list[Event]:
    """Orders out of order, one person merging with two others, at times that are equal too."""
    people = [(user(1),), (ANONYMOUS,), (user(2),)]
    log = [
        order(world, clock, *people[n % 3], days_ago=(5 * n) % 7, total=0.1 * n, item=f"i{n % 4}")
        for n in range(8)
    ]
    log.append(world.event(user(1), ANONYMOUS))
    for number, event in enumerate(log):
        event.message_id = str(number)
    return log


async def rows(database: Database, sql: str) -> list[Any]:
    """As the owner, who stands outside the fence."""
    engine = create_async_engine(database.owner_dsn)
    async with engine.connect() as connection:
        found = list((await connection.execute(text(sql))).all())
    await engine.dispose()
    return found
