"""The identity policy over HTTP: read, set, told to tracking, felt by look-ups and links."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.identity import BUILT_IN, IdentityPolicy
from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

PATH = "/api/v1/identity-policy"
USER, DEVICE = {"name": "user_id"}, {"name": "anonymous_id"}
DAY = 86_400_000
NOON = 1_700_000_000_000
U1 = ("user_id", "u1")


async def put(world: World, *own: dict[str, Any]) -> dict[str, Any]:
    answer = await world.call("PUT", PATH, {"namespaces": [USER, *own, DEVICE]})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(tracking: FakeTracking) -> list[int]:
    """The worker and the call that set it may both tell."""
    return list(dict.fromkeys(policy.version for policy in tracking.policies))


async def until(world: World, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found: dict[str, Any] = await world.get("/identity-policy")
            if wanted(found):
                return found
            await world.feed(wait=0.02)


async def test_the_built_in_policy_counts_until_another_is_set(world: World) -> None:
    built_in = await world.get("/identity-policy")
    assert (built_in["version"], built_in["in_force"], built_in["changed_at"]) == (0, True, None)
    limits = {n["name"]: tuple(n["limit"].values()) for n in built_in["namespaces"]}
    assert list(limits) == [
        *("user_id", "email", "phone", "unionid", "external_userid", "openid", "device_id"),
        "anonymous_id",
    ]
    assert limits["user_id"] == (1, None)
    assert limits["email"] == (5, 365)
    assert limits["anonymous_id"] == (5, 7)


async def test_what_is_left_out_of_a_built_in_namespace_is_as_it_was(world: World) -> None:
    found = await put(world, {"name": "email", "limit": {"count": 2}})
    [_, email, _] = found["namespaces"]
    assert (email["kind"], email["limit"]) == ("email", {"count": 2, "window_days": None})
    assert email["blocked"]["patterns"] == ["^[0-]*$"]
    user, device = found["namespaces"][0], found["namespaces"][-1]
    built_in = [n.model_dump(mode="json") for n in BUILT_IN.namespaces]
    assert [user, device] == [built_in[0], built_in[-1]]


async def test_a_policy_is_told_to_tracking_and_then_in_force(
    world: World, tracking: FakeTracking
) -> None:
    first = await put(world, {"name": "loyalty_card", "fold_case": True})
    assert (first["version"], first["in_force"]) == (1, True)
    assert told(tracking) == [1]
    assert tracking.policies[0] == IdentityPolicy.model_validate(
        {"version": 1, "namespaces": first["namespaces"]}
    )
    assert await put(world, {"name": "loyalty_card", "fold_case": True}) == first
    assert (await put(world))["version"] == 2
    assert told(tracking) == [1, 2]
    assert (await world.get("/identity-policy"))["version"] == 2


async def test_what_tracking_missed_is_told_again_until_it_has_it(
    world: World, tracking: FakeTracking
) -> None:
    tracking.down = True
    assert (await put(world, {"name": "loyalty_card"}))["in_force"] is False
    assert (await put(world, {"name": "badge"}))["in_force"] is False
    tracking.down = False
    assert (await until(world, lambda found: found["in_force"]))["version"] == 2
    assert told(tracking) == [2]


async def test_a_database_restored_from_a_backup_goes_on_after_what_it_told(
    world: World, tracking: FakeTracking
) -> None:
    tracking.policies.append(BUILT_IN.model_copy(update={"version": 7}))
    found = await put(world, {"name": "loyalty_card"})
    assert (found["version"], found["in_force"]) == (8, True)
    assert [n.name for n in tracking.policies[-1].namespaces][1] == "loyalty_card"


def own(**said: Any) -> list[dict[str, Any]]:
    return [USER, {"name": "loyalty_card", **said}, DEVICE]


@pytest.mark.parametrize(
    ("namespaces", "pointer"),
    [
        ([], "#/namespaces"),
        ([DEVICE, USER], "#/namespaces/0/name"),
        ([USER], "#/namespaces"),
        ([USER, DEVICE, USER], "#/namespaces/2/name"),
        ([USER, DEVICE, {"name": "Anonymous_ID"}], "#/namespaces/2/name"),
        ([USER, {"name": "Email"}, DEVICE], "#/namespaces/1/name"),
        ([USER, {"name": "subject"}, DEVICE], "#/namespaces/1/name"),
        ([USER, {"name": "a:b"}, DEVICE], "#/namespaces/1/name"),
        ([USER, {"name": "x" * 65}, DEVICE], "#/namespaces/1/name"),
        ([USER, {"name": "email", "kind": "id"}, DEVICE], "#/namespaces/1/kind"),
        ([{"name": "user_id", "limit": {"count": 2}}, DEVICE], "#/namespaces/0/limit"),
        (
            [{"name": "user_id", "limit": {"count": 1, "window_days": 7}}, DEVICE],
            "#/namespaces/0/limit",
        ),
        (own(kind="card"), "#/namespaces/1/kind"),
        (own(limit={"count": 0}), "#/namespaces/1/limit/count"),
        (own(limit={"count": 1001}), "#/namespaces/1/limit/count"),
        (own(limit={"count": 1, "window_days": 0}), "#/namespaces/1/limit/window_days"),
        (own(limit=5), "#/namespaces/1/limit"),
        (own(region="CN"), "#/namespaces/1/region"),
        (own(kind="phone", region="XX"), "#/namespaces/1/region"),
        (own(kind="phone", region="cn"), "#/namespaces/1/region"),
        (own(colour="red"), "#/namespaces/1/colour"),
        (own(blocked={"patterns": ["ok", "("]}), "#/namespaces/1/blocked/patterns/1"),
        (own(blocked={"patterns": ["(?=x)x"]}), "#/namespaces/1/blocked/patterns/0"),
        (own(blocked={"patterns": [r"(a)\1"]}), "#/namespaces/1/blocked/patterns/0"),
        (own(blocked={"patterns": ["(((a{99}){99}){99})"]}), "#/namespaces/1/blocked/patterns/0"),
        (own(blocked={"patterns": ["x"] * 21}), "#/namespaces/1/blocked/patterns"),
        (own(blocked={"values": [""]}), "#/namespaces/1/blocked/values/0"),
        (own(blocked=["x"]), "#/namespaces/1/blocked"),
        ([USER, *({"name": f"own{n}"} for n in range(21)), DEVICE], "#/namespaces"),
        ([USER, *({"name": f"own{n}"} for n in range(40)), DEVICE], "#/namespaces"),
        (["user_id"], "#/namespaces/0"),
        ([{"name": ["user_id"]}], "#/namespaces/0/name"),
        (7, "#/namespaces"),
    ],
)
async def test_bad_policies_name_the_field_and_change_nothing(
    world: World, tracking: FakeTracking, namespaces: object, pointer: str
) -> None:
    answer = await world.call("PUT", PATH, {"namespaces": namespaces})
    assert answer.status_code == 422, answer.text
    assert answer.json()["type"] == "/problems/invalid-request"
    assert answer.json()["errors"][0]["pointer"] == pointer, answer.text
    assert (await world.get("/identity-policy"))["version"] == 0
    assert tracking.policies == []


async def test_twenty_namespaces_of_ones_own_are_accepted(world: World) -> None:
    assert (await put(world, *({"name": f"own{n}"} for n in range(20))))["version"] == 1


async def test_profiles_are_found_by_the_namespaces_of_the_policy(world: World) -> None:
    await world.post(world.event(U1, ("loyalty_card", "lc-1")))
    lost = await world.call("GET", "/api/v1/profiles?namespace=loyalty_card&value=lc-1")
    assert lost.status_code == 422
    [error] = lost.json()["errors"]
    assert error["pointer"] == "#/query/namespace"
    assert "user_id, email, phone, unionid, external_userid" in error["detail"]

    await put(world, {"name": "loyalty_card", "fold_case": True})
    found = await world.get("/profiles", namespace="loyalty_card", value=" LC-1 ")
    assert [p["user_id"] for p in found["items"]] == ["u1"]
    for value in ("guest", "nul\x00"):
        assert (await world.get("/profiles", namespace="loyalty_card", value=value))["items"] == []
    gone = await world.call("GET", "/api/v1/profiles?namespace=email&value=a@b.example")
    assert gone.json()["errors"][0]["detail"] == (
        "One of user_id, loyalty_card, anonymous_id is accepted."
    )


async def people(world: World) -> list[dict[str, Any]]:
    """Profiles and conflicts, without the ids of lines."""
    conflicts = (await world.get("/conflicts"))["items"]
    lines = [{k: v for k, v in line.items() if k != "id"} for line in conflicts]
    return [*(await world.get("/profiles"))["items"], *lines]


async def test_limits_count_from_the_next_event_on_and_when_the_log_is_read_again(
    profile_database: Database, tracking: FakeTracking, clock: FakeClock
) -> None:
    cards = [("loyalty_card", f"lc-{n}") for n in range(6)]
    workspace_id = uuid4()
    async with running(create_app(settings(profile_database, tracking), clock)) as client:
        world = World(client, tracking, workspace_id)
        await world.post(*(world.event(U1, card) for card in cards[:4]))
        await put(world, {"name": "loyalty_card", "limit": {"count": 2, "window_days": 1}})
        await world.post(world.event(U1, cards[4]))
        last = world.event(U1, cards[5], at=NOON + DAY)
        await world.post(last)
        before = await people(world)
    profile, conflict = before
    held = sorted(i["value"] for i in profile["identifiers"] if i["namespace"] == "loyalty_card")
    assert held == ["lc-0", "lc-1", "lc-2", "lc-3", "lc-5"]
    assert (conflict["value"], conflict["reason"]) == ("lc-4", "limit")

    engine = create_async_engine(profile_database.owner_dsn)
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE profile, identifier, conflict, feed"))
        await connection.execute(text("UPDATE consumer SET log_offset = 0"))
    await engine.dispose()
    async with running(create_app(settings(profile_database, tracking), clock)) as client:
        world = World(client, tracking, workspace_id)
        await world.until(lambda c: c.data.get("message_id") == last.message_id)
        assert await people(world) == before


async def test_workspaces_have_policies_of_their_own(world: World) -> None:
    await put(world, {"name": "loyalty_card"})
    other = World(world.client, world.tracking, uuid4())
    assert (await other.get("/identity-policy"))["version"] == 0
