"""Conflicts over HTTP: what was not linked, why, and what merging would mean."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.profile.conftest import World

pytestmark = pytest.mark.anyio

U1, U2 = ("user_id", "u1"), ("user_id", "u2")
DEVICE, MAIL = ("anonymous_id", "d1"), ("email", "x@example.org")
NOON = 1_700_000_000_000


async def listed(world: World, **wanted: Any) -> list[dict[str, Any]]:
    return list((await world.get("/conflicts", **wanted))["items"])


async def profile_of(world: World, user_id: str) -> str:
    [found] = (await world.get("/profiles", namespace="user_id", value=user_id))["items"]
    return str(found["id"])


async def test_what_every_event_at_a_shared_device_says_is_one_line(world: World) -> None:
    await world.post(world.event(U1, DEVICE))
    first = world.event(U2, DEVICE, at=NOON)
    await world.post(first, world.event(U2, DEVICE, at=NOON + 2))
    await world.post(world.event(U2, DEVICE, at=NOON + 1))
    [conflict] = await listed(world)
    assert (conflict["namespace"], conflict["value"]) == DEVICE
    assert (conflict["reason"], conflict["count"]) == ("two_user_ids", 3)
    assert conflict["message_id"] == first.message_id
    assert conflict["last_at"] == "2023-11-14T22:13:20.002000Z"
    assert conflict["profile_id"] == await profile_of(world, "u2")
    assert conflict["other_id"] == await profile_of(world, "u1")
    assert not conflict["resolved"]


async def test_conflicts_are_classed_by_what_merging_would_mean(world: World) -> None:
    await world.post(world.event(U1, MAIL, DEVICE))
    await world.post(world.event(U2, DEVICE), world.event(U2, MAIL))
    cards = [("openid", f"o{n}") for n in range(11)]
    await world.post(*(world.event(U2, card) for card in cards))
    found = {c["value"]: (c["reason"], c["merge_class"]) for c in await listed(world)}
    assert found == {
        "d1": ("two_user_ids", "conflict"),
        "x@example.org": ("two_user_ids", "careful"),
        "o10": ("limit", "recommended"),
    }
    assert [c["value"] for c in await listed(world, merge_class="careful")] == ["x@example.org"]
    assert [c["value"] for c in await listed(world, reason="limit")] == ["o10"]


async def test_conflicts_follow_the_profile_and_tell_when_they_are_resolved(world: World) -> None:
    week = 7 * 86_400_000
    devices = [("anonymous_id", f"d{n}") for n in range(6)]
    await world.post(*(world.event(MAIL, device, at=NOON) for device in devices))
    anonymous = (await world.get("/profiles", namespace="email", value=MAIL[1]))["items"][0]["id"]
    await world.post(world.event(U1, at=NOON), world.event(U1, MAIL, at=NOON))
    known = await profile_of(world, "u1")
    for asked in (anonymous, known):
        [conflict] = await listed(world, profile_id=asked)
        assert (conflict["value"], conflict["profile_id"]) == ("d5", known)
        assert (conflict["other_id"], conflict["resolved"]) == (None, False)
    await world.post(world.event(U1, devices[5], at=NOON + week))
    [conflict] = await listed(world)
    assert (conflict["other_id"], conflict["resolved"]) == (known, True)


async def test_conflicts_come_in_pages_the_latest_first(world: World) -> None:
    await world.post(world.event(U1, *(("openid", f"o{n}") for n in range(15))))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = await world.get("/conflicts", limit=2, **cursor)
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert len(seen) == len(set(seen)) == 5
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("query", "status", "problem"),
    [
        ("reason=none", 422, "invalid-request"),
        ("merge_class=certain", 422, "invalid-request"),
        ("profile_id=7", 422, "invalid-request"),
        (f"profile_id={UUID(int=5)}", 404, "profile-not-found"),
        ("cursor=7", 422, "invalid-request"),
        ("limit=0", 422, "invalid-request"),
    ],
)
async def test_bad_questions_are_told_what_is_wrong(
    world: World, query: str, status: int, problem: str
) -> None:
    answer = await world.call("GET", f"/api/v1/conflicts?{query}")
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")


async def test_a_workspace_sees_its_own_conflicts_only(world: World) -> None:
    await world.post(world.event(U1, DEVICE), world.event(U2, DEVICE))
    assert len(await listed(world)) == 1
    other = World(world.client, world.tracking, uuid4())
    assert await listed(other) == []


async def test_ten_thousand_identifiers_of_one_person_stop_at_a_thousand(world: World) -> None:
    own = {"name": "badge", "limit": {"count": 1000}}
    namespaces = [{"name": "user_id"}, own, {"name": "anonymous_id"}]
    await world.call("PUT", "/api/v1/identity-policy", {"namespaces": namespaces})
    events = [world.event(U1, ("badge", str(n))) for n in range(10_000)]
    for start in range(0, len(events), 2_500):
        await world.post(*events[start : start + 2_500])
    [profile] = (await world.get("/profiles", namespace="user_id", value="u1"))["items"]
    assert len(profile["identifiers"]) == 1000
    assert (await world.get("/profiles"))["items"] == [profile]
    [conflict] = await listed(world, limit=1, reason="too_many_identifiers")
    assert conflict["profile_id"] == profile["id"]
