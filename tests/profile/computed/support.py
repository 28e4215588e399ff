"""Definitions, events and answers for the tests of computed traits."""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import httpx2
import pyarrow as pa
from fastapi import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.changes import Change
from services.contracts.events import Event
from services.rules.aggregates import EMPTY, aggregate_of, to_json, update
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.support.postgres import Database

ORDERS = {"kind": "count", "event": "Order Completed"}
REVENUE = {"kind": "sum", "event": "Order Completed", "property": "total"}
SINCE_ORDER = {"kind": "days_since_last", "event": "Order Completed"}
ANONYMOUS = ("anonymous_id", "a1")

MANY: list[dict[str, Any]] = [
    ORDERS,
    {**REVENUE, "window": {"last_days": 64}},
    {**REVENUE, "kind": "most_frequent", "property": "item"},
    {**REVENUE, "kind": "first", "property": "item"},
    {**REVENUE, "kind": "unique_list", "property": "item", "window": {"last_days": 64}},
]


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
        writer.write_table(table, max_chunksize=1)
    return Response(sink.getvalue().to_pybytes())


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
