"""Computed traits over HTTP: defined, listed, read by rules, refused."""

import asyncio
from typing import Any

import pytest

from tests.profile.clock import FakeClock
from tests.profile.computed.support import (
    ORDERS,
    REVENUE,
    create,
    create_segment,
    order,
)
from tests.profile.conftest import World

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


async def test_a_prediction_and_a_computed_trait_never_share_a_name(world: World) -> None:
    prediction = {"name": "churn", "model": {"kind": "rfm", "event": "Ordered", "value": "total"}}
    made = await world.call("POST", "/api/v1/predictions", prediction)
    assert made.status_code == 201, made.text
    for name in ("churn", "churn.score"):
        taken = await world.call("POST", "/api/v1/computed-traits", {"name": name, **ORDERS})
        assert (taken.status_code, taken.json()["type"]) == (
            409,
            "/problems/computed-trait-name-taken",
        )
    for name, trait in (("orders", "orders"), ("revenue", "revenue.all")):
        await create(world, trait, ORDERS)
        taken = await world.call("POST", "/api/v1/predictions", {**prediction, "name": name})
        assert (taken.status_code, taken.json()["type"]) == (409, "/problems/prediction-name-taken")
    assert [t["name"] for t in (await world.get("/computed-traits"))["items"]] == [
        "orders",
        "revenue.all",
    ]
    await create_segment(world, "Leaving", "computed.churn.recency", ">", 3)
    rule = {"rules": [{"field": "computed.orders.first", "operator": "notNull"}]}
    refused = await world.call("POST", "/api/v1/segments", {"name": "S", "rule": rule})
    assert refused.status_code == 422, "a computed trait has no parts"


async def test_the_name_of_a_deleted_prediction_is_free_once_its_values_are_gone(
    world: World,
) -> None:
    prediction = {"name": "churn", "model": {"kind": "rfm", "event": "Ordered", "value": "total"}}
    made = await world.call("POST", "/api/v1/predictions", prediction)
    await world.call("DELETE", f"/api/v1/predictions/{made.json()['id']}")
    body = {"name": "churn", **ORDERS}
    async with asyncio.timeout(10):
        while (await world.call("POST", "/api/v1/computed-traits", body)).status_code == 409:
            await world.feed(wait=0.02)
    assert [t["name"] for t in (await world.get("/computed-traits"))["items"]] == ["churn"]
