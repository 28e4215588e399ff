"""Computed traits over HTTP: defined, listed, read by rules, refused."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.ids import uuid7
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.profile.computed import store
from tests.profile.clock import FakeClock
from tests.profile.computed.support import (
    ORDERS,
    REVENUE,
    create,
    create_segment,
    order,
)
from tests.profile.conftest import World
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio


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


async def test_a_prediction_takes_a_name_that_rules_can_read_and_traits_cannot_take(
    world: World, profile_database: Database
) -> None:
    engine = create_async_engine(profile_database.app_dsn)
    async with workspace_tx(create_sessionmaker(engine), world.workspace_id) as session:
        await store.add(session, world.workspace_id, uuid7(), "churn", "churn", description={})
    await engine.dispose()
    taken = await world.call("POST", "/api/v1/computed-traits", {"name": "churn", **ORDERS})
    assert taken.json()["type"] == "/problems/computed-trait-name-taken"
    assert (await world.get("/computed-traits"))["items"] == []
    await create_segment(world, "Leaving", "computed.churn", ">", 0.5)
