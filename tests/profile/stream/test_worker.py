"""From tracking's log to profiles and the change feed, over HTTP."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ANONYMOUS = ("anonymous_id", "a1")


async def test_an_identify_call_makes_a_profile_with_its_traits(world: World) -> None:
    said = world.event(USER, type="identify", traits={"plan": "pro", "age": 7})
    changes = await world.post(said)
    assert [(c.type, c.profile_id) for c in changes] == [
        ("event", said.subject_id),
        ("profile.updated", said.subject_id),
    ]
    assert changes[1].data == {"traits": {"age": 7, "plan": "pro"}}
    profile = await world.get(f"/profiles/{said.subject_id}")
    assert profile["traits"] == {"plan": "pro", "age": 7}
    assert profile["user_id"] == "u1"
    assert await world.get("/profiles", namespace="user_id", value=" u1 ") == {
        "items": [profile],
        "next_cursor": None,
    }


async def test_an_anonymous_profile_becomes_the_known_persons_and_keeps_resolving(
    world: World,
) -> None:
    before = world.event(ANONYMOUS)
    known = world.event(USER, type="identify", traits={"plan": "pro"})
    await world.post(before)
    await world.post(known)
    both = world.event(USER, ANONYMOUS, type="identify", traits={"city": "Köln"})
    changes = await world.post(both)
    assert [c.type for c in changes] == [
        "profile.merged",
        "event",
        "identity.linked",
        "profile.updated",
    ]
    merged, _, linked, _ = changes
    assert merged.profile_id == linked.profile_id == known.subject_id
    assert merged.data["merged_id"] == before.subject_id
    assert linked.data["subject_id"] == before.subject_id
    profile = await world.get(f"/profiles/{before.subject_id}")
    assert profile["id"] == known.subject_id
    assert profile["traits"] == {"plan": "pro", "city": "Köln"}
    assert profile["merged_ids"] == [before.subject_id]
    assert {i["namespace"] for i in profile["identifiers"]} == {"user_id", "anonymous_id"}


async def test_a_number_that_no_feed_can_hold_stops_nobody(world: World) -> None:
    """PostgreSQL gives a double like 1e30 back as an integer, which the merge then tells of."""
    changes = await world.post(world.event(ANONYMOUS, type="identify", traits={"far": 1e30}))
    assert changes[1].data == {"traits": {"far": 1e30}}
    await world.post(world.event(USER, type="identify", traits={"farther": 10**30}))
    both = world.event(USER, ANONYMOUS)
    changes = await world.post(both)
    updated = next(c for c in changes if c.type == "profile.updated")
    assert updated.data == {"traits": {"far": 1e30}}
    profile = await world.get(f"/profiles/{both.subject_id}")
    assert profile["traits"] == {"far": 10**30, "farther": 10**30}


async def test_two_known_people_are_never_merged_and_the_conflict_is_kept(
    world: World, profile_database: Database
) -> None:
    await world.post(world.event(USER, ANONYMOUS))
    other = world.event(("user_id", "u2"), ANONYMOUS)
    changes = await world.post(other)
    assert [(c.type, c.profile_id) for c in changes] == [("event", other.subject_id)]
    rows = await query(profile_database, "SELECT reason, value, message_id FROM conflict")
    assert rows == [("two_user_ids", "a1", other.message_id)]


async def test_a_block_that_fails_half_way_leaves_nothing_and_is_applied_once_later(
    world: World, profile_database: Database
) -> None:
    """The last statements of a block fail, as if the process had been killed there."""
    await query(profile_database, "ALTER TABLE feed RENAME TO feed_away")
    event = world.event(USER, type="identify", traits={"plan": "pro"})
    world.tracking.append(world.workspace_id, event)
    async with asyncio.timeout(10):
        while world.tracking.reads < 3:
            await world.tracking.read.wait()
    assert await query(profile_database, "SELECT count(*) FROM profile") == [(0,)]
    await query(profile_database, "ALTER TABLE feed_away RENAME TO feed")
    changes = await world.until(lambda c: c.type == "event")
    assert [c.type for c in changes] == ["event", "profile.updated"]


async def test_an_event_that_cannot_be_stored_is_set_aside_and_its_neighbours_go_on(
    world: World, profile_database: Database
) -> None:
    events = [world.event(("user_id", f"u{n}"), type="identify") for n in range(9)]
    events[4].traits = '{"nul": "\\u0000"}'
    changes = await world.post(*events)
    assert [c.data["message_id"] for c in changes] == [
        event.message_id for number, event in enumerate(events) if number != 4
    ]
    rows = await query(profile_database, "SELECT message_id, reason FROM quarantine")
    assert [message_id for message_id, _ in rows] == [events[4].message_id]
    assert len(await world.post(world.event(USER))) == 1


async def test_a_restarted_service_goes_on_where_it_stopped(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock
) -> None:
    workspace_id = uuid4()
    offsets = []
    for number in range(2):
        app = create_app(settings(profile_database, tracking), clock)
        async with running(app) as client:
            world = World(client, tracking, workspace_id, offset=number)
            await world.post(world.event(USER))
            offsets.append(world.offset)
    assert offsets == [1, 2]


async def test_of_two_processes_one_holds_the_partition(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock
) -> None:
    first = create_app(settings(profile_database, tracking), clock)
    second = create_app(settings(profile_database, tracking), clock)
    async with running(first) as client, running(second) as other:
        world = World(client, tracking, uuid4())
        for _ in range(5):
            await world.post(world.event(USER))
        beside = World(other, tracking, world.workspace_id)
        read = await beside.until(lambda c: True)
        assert len([c for c in read if c.type == "event"]) == 5


async def test_the_log_read_in_other_blocks_gives_equal_profiles(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock
) -> None:
    workspace_id = uuid4()
    made = World(httpx2.AsyncClient(), tracking, workspace_id)
    log = [
        made.event(ANONYMOUS, type="identify", traits={"a": 1, "b": 1}, at=5),
        made.event(USER, type="identify", traits={"b": 2}, at=4),
        made.event(USER, ANONYMOUS, type="identify", traits={"c": 3}, at=3),
        made.event(("user_id", "u2"), ANONYMOUS, at=2),
        made.event(ANONYMOUS, type="identify", traits={"a": None}, at=9),
    ]
    for event in log:
        tracking.append(workspace_id, event)
    states = []
    for size in (1, 2, 5):
        home = database("profile")
        how = settings(home, tracking).model_copy(update={"block_rows": size})
        async with running(create_app(how, clock)) as client:
            world = World(client, tracking, workspace_id)
            await world.until(lambda c: c.data.get("message_id") == log[-1].message_id)
        states.append(
            [
                await query(home, "SELECT * FROM profile ORDER BY user_id"),
                await query(home, "SELECT * FROM identifier ORDER BY subject_id"),
                await query(home, "SELECT * FROM alias ORDER BY alias_id"),
            ]
        )
    assert states[0] == states[1] == states[2]
    assert states[0][0][0].traits == {"b": 2, "c": 3}


async def query(database: Database, sql: str) -> list[Any]:
    """As the owner, who stands outside the fence."""
    engine = create_async_engine(database.owner_dsn)
    async with engine.begin() as connection:
        result = await connection.execute(text(sql))
        rows = list(result.all()) if result.returns_rows else []
    await engine.dispose()
    return rows
