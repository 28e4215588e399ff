"""Subscription groups over HTTP: joining, leaving, double opt-in."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.contracts.events import Event
from tests.profile.conftest import World
from tests.support.app import user_headers

pytestmark = pytest.mark.anyio

NEWS = {"names": {"en": "News", "zh": "新闻"}, "channels": ["email"]}
NOON = 1_700_000_000_000


async def group(world: World, **more: Any) -> str:
    answer = await world.call("POST", "/api/v1/subscription-groups", {**NEWS, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def person(world: World, name: str = "u1") -> str:
    event = world.event(("user_id", name), at=NOON)
    await world.post(event)
    return event.subject_id


async def subscribe(world: World, profile_id: str, group_id: str, **body: Any) -> None:
    world.clock.advance(timedelta(seconds=1))
    path = f"/api/v1/profiles/{profile_id}/subscriptions/{group_id}"
    answer = await world.call("PUT", path, body)
    assert (answer.status_code, answer.json()["applied"]) == (200, True), answer.text


async def states(world: World, profile_id: str) -> list[str | None]:
    found = await world.get(f"/profiles/{profile_id}/subscriptions")
    return [item["state"] for item in found["items"]]


async def members(world: World, group_id: str) -> list[str]:
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await world.get(f"/subscription-groups/{group_id}/members", limit=1, **cursor)
        found += [item["profile_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_people_join_and_leave_and_the_members_follow(world: World) -> None:
    group_id = await group(world)
    people = sorted([await person(world, f"u{n}") for n in range(3)])
    assert await states(world, people[0]) == [None]
    for each in people:
        await subscribe(world, each, group_id, subscribed=True)
    assert await members(world, group_id) == people
    await subscribe(world, people[1], group_id, subscribed=False)
    assert await members(world, group_id) == [people[0], people[2]]
    assert await states(world, people[1]) == ["withdrawn"]
    [(_, told)] = world.tracking.withdrawals
    assert (str(told.profile_id), told.purpose) == (people[1], f"group:{group_id}")
    await subscribe(world, people[1], group_id, subscribed=True)
    assert await members(world, group_id) == people


async def test_a_withdrawal_on_the_groups_channel_is_a_leaving_and_on_another_is_none(
    world: World,
) -> None:
    group_id = await group(world)
    profile_id = await person(world)
    purpose = f"group:{group_id}"
    for at, (name, channel) in enumerate(
        [("Granted", "*"), ("Withdrawn", "sms"), ("Withdrawn", "email")]
    ):
        properties = {"purpose": purpose, "channel": channel}
        user = ("user_id", "u1")
        event = world.event(user, name=f"Consent {name}", at=NOON + at, properties=properties)
        await world.post(event)
        expected = [[profile_id], [profile_id], []][at]
        assert await members(world, group_id) == expected
    assert await states(world, profile_id) == ["withdrawn"]


@pytest.mark.parametrize("by", ["api", "event", "browser that claims it"])
async def test_joining_with_double_opt_in_waits_for_the_confirmation(world: World, by: str) -> None:
    group_id = await group(world, double_opt_in=True)
    profile_id = await person(world)
    if by == "api":
        await subscribe(world, profile_id, group_id, subscribed=True)
        [joined] = world.tracking.rows[str(world.workspace_id)][-1].entries(Event)
        assert joined.event == "Consent Requested"
    else:
        properties = {"purpose": f"group:{group_id}", "channel": "email", "confirmed": True}
        user = ("user_id", "u1")
        await world.post(world.event(user, name="Consent Granted", properties=properties))
    assert (await states(world, profile_id), await members(world, group_id)) == (["pending"], [])
    told = [c.data["state"] for c in world.seen if c.type == "consent.changed"]
    assert told in ([], ["pending"])
    await subscribe(world, profile_id, group_id, subscribed=True, confirmed=True)
    assert await states(world, profile_id) == ["granted"]


async def test_a_group_one_is_in_by_default_needs_a_law_that_presumes(world: World) -> None:
    group_id = await group(world, default="opt_out")
    profile_id = await person(world)
    assert await states(world, profile_id) == [None]
    await world.call("PUT", "/api/v1/consents/policy", {"region": "opt_out"})
    assert await states(world, profile_id) == ["granted"]
    await subscribe(world, profile_id, group_id, subscribed=False)
    assert await states(world, profile_id) == ["withdrawn"]


async def test_groups_are_listed_read_and_changed(world: World) -> None:
    ids = [await group(world, names={"en": f"N{n}", "zh": "新"}) for n in range(3)]
    first = await world.get("/subscription-groups", limit=2)
    rest = await world.get("/subscription-groups", cursor=first["next_cursor"])
    assert [g["id"] for g in first["items"] + rest["items"]] == ids
    path = f"/subscription-groups/{ids[0]}"
    read = await world.get(path)
    assert read["consent_purpose"] == f"group:{ids[0]}"
    changed = await world.call("PUT", f"/api/v1{path}", {**NEWS, "double_opt_in": True})
    assert changed.json()["double_opt_in"] is True
    headers = world.user | {"Idempotency-Key": "k"}
    made = {
        (await world.client.post("/api/v1/subscription-groups", json=NEWS, headers=headers)).json()[
            "id"
        ]
        for _ in range(2)
    }
    assert len(made) == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"names": {"en": "News"}}, "#/names/zh"),
        ({"channels": []}, "#/channels"),
        ({"channels": ["E-Mail"]}, "#/channels/0"),
        ({"default": "maybe"}, "#/default"),
        ({"id": "x"}, "#/id"),
    ],
)
async def test_a_wrong_group_names_the_field(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    answer = await world.call("POST", "/api/v1/subscription-groups", {**NEWS, **change})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_group_of_another_workspace_is_as_missing_as_one_that_never_was(
    world: World,
) -> None:
    group_id = await group(world)
    profile_id = await person(world)
    other = user_headers("profile", uuid4())
    for each in (group_id, str(uuid4())):
        for path in ("", "/members"):
            answer = await world.client.get(
                f"/api/v1/subscription-groups/{each}{path}", headers=other
            )
            assert answer.json()["type"] == "/problems/subscription-group-not-found"
    path = f"/api/v1/profiles/{profile_id}/subscriptions/{uuid4()}"
    assert (await world.call("PUT", path, {"subscribed": True})).status_code == 404
    assert world.tracking.said == 0
