"""The change feed as partners read it over HTTP."""

from typing import Any

import pytest

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")


async def read(world: World, **params: Any) -> Any:
    return await world.get("/changes", **params)


async def test_changes_are_read_in_order_page_by_page_and_again(world: World) -> None:
    first = world.event(USER, name="Order Completed", properties={"total": 12.5})
    await world.post(first, world.event(USER, type="identify", traits={"plan": "pro"}))
    await world.post(world.event(USER, name="Page Viewed"))
    whole = await read(world)
    assert [item["type"] for item in whole["items"]] == [
        "event",
        "event",
        "profile.updated",
        "event",
    ]
    assert whole["items"][0]["data"]["properties"] == {"total": 12.5}
    assert whole["items"][0]["at"] == "2023-11-14T22:13:20Z"
    seen, cursor = [], None
    for _ in range(4):
        page = await read(world, limit=1, **({"cursor": cursor} if cursor else {}))
        again = await read(world, limit=1, **({"cursor": cursor} if cursor else {}))
        assert again == page
        seen += page["items"]
        cursor = page["next_cursor"]
    assert seen == whole["items"]
    assert (await read(world, cursor=cursor))["items"] == []


async def test_a_reader_may_ask_for_some_types_and_for_news_only(world: World) -> None:
    await world.post(world.event(USER, type="identify", traits={"plan": "pro"}))
    some = await read(world, type=["profile.updated", "segment.entered"])
    assert [item["data"] for item in some["items"]] == [{"traits": {"plan": "pro"}}]
    news = await read(world, **{"from": "end"})
    assert news["items"] == []
    await world.post(world.event(USER, name="Page Viewed"))
    later = await read(world, cursor=news["next_cursor"], wait=5)
    assert [item["data"]["event"] for item in later["items"]] == ["Page Viewed"]


async def test_a_cursor_that_was_not_given_out_and_an_unknown_type_are_refused(
    world: World,
) -> None:
    for params, pointer in (
        ({"cursor": "x"}, "#/query/cursor"),
        ({"type": "profile.sold"}, "#/query/type/0"),
        ({"limit": "0"}, "#/query/limit"),
    ):
        answer = await world.client.get("/api/v1/changes", params=params, headers=world.user)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
