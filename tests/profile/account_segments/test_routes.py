"""Segments of accounts over HTTP: defined, kept true and told of."""

from typing import Any
from uuid import uuid4

import pytest

from services.contracts.changes import Change
from tests.profile.accounts.support import GOLD, group, id_of, segment, user
from tests.profile.conftest import World
from tests.support.app import user_headers

pytestmark = pytest.mark.anyio

PATH = "/api/v1/account-segments"
PRO = {"field": "traits.plan", "operator": "=", "value": "pro"}


async def create(
    world: World, *rules: dict[str, Any], members: Any = (), name: str = "A segment"
) -> Any:
    rule = {"combinator": "and", "rules": list(rules)}
    body = {"name": name, "rule": rule, "members": list(members)}
    answer = await world.call("POST", PATH, body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def crossings(changes: list[Change]) -> list[tuple[str, str]]:
    kind = "account.segment_"
    return [(c.type.removeprefix(kind), c.profile_id) for c in changes if c.type.startswith(kind)]


def identify(world: World, number: int, plan: str, at: int = 50) -> Any:
    return world.event(user(number), type="identify", traits={"plan": plan}, at=at)


async def inside(world: World, segment_id: str) -> list[str]:
    found = await world.get(f"/account-segments/{segment_id}/accounts")
    return [a["group_id"] for a in found["items"]]


async def test_accounts_a_new_segment_holds_for_are_in_it_at_once(world: World) -> None:
    await world.post(group(world, 1, tier="gold"), group(world, 2, "other", tier="silver"))
    made = await create(world, GOLD)
    assert (made["accounts"], made["members"]) == (1, [])
    told = await world.until(lambda c: c.type == "account.segment_entered")
    assert crossings(told) == [("entered", id_of(world))]
    assert told[-1].data == {"segment_id": made["id"]}
    assert await inside(world, made["id"]) == ["acme"]
    held = await world.get(f"/accounts/{id_of(world)}/segments")
    assert [s["segment_id"] for s in held["items"]] == [made["id"]]
    assert (await world.get(f"/account-segments/{made['id']}"))["rule"]["rules"] == [GOLD]


async def test_a_trait_moves_an_account_within_the_block_that_says_it(world: World) -> None:
    await create(world, GOLD)
    assert crossings(await world.post(group(world, 1, tier="gold"))) == [("entered", id_of(world))]
    assert crossings(await world.post(group(world, 2, tier="gold", at=20))) == []
    left = await world.post(group(world, 2, tier="silver", at=30))
    assert crossings(left) == [("exited", id_of(world))]
    path = f"/api/v1/accounts/{id_of(world)}"
    await world.call("PATCH", path, {"traits": {"tier": "gold"}})
    back = await world.until(lambda c: c.type == "account.segment_entered")
    assert crossings(back) == [("entered", id_of(world))]


async def test_what_members_do_moves_their_account(world: World) -> None:
    """Some, every and at least so many of the buyers are in a segment of people."""
    pro = await segment(world, PRO)
    ids = {
        quantifier: (await create(world, members=[condition], name=quantifier))["id"]
        for quantifier, condition in {
            "some": {"quantifier": "some", "role": "Buyer", "segment_id": pro},
            "every": {"quantifier": "every", "role": "buyer", "segment_id": pro},
            "none": {"quantifier": "none", "role": "buyer", "segment_id": pro},
            "two": {"quantifier": "at_least", "count": 2, "segment_id": pro},
            "a buyer": {"quantifier": "at_least", "count": 1, "role": "buyer"},
        }.items()
    }

    async def held() -> set[str]:
        return {name for name, each in ids.items() if await inside(world, each)}

    await world.post(group(world, 1), identify(world, 1, "pro"))
    assert await held() == {"none"}
    await world.post(group(world, 2, role="buyer"), group(world, 3, role="buyer"))
    assert await held() == {"none", "a buyer"}
    moved = await world.post(identify(world, 2, "pro"))
    assert {kind for kind, _ in crossings(moved)} == {"entered", "exited"}
    assert await held() == {"some", "two", "a buyer"}
    await world.post(identify(world, 3, "pro"))
    assert await held() == {"some", "every", "two", "a buyer"}
    await world.post(identify(world, 2, "free", at=60), identify(world, 3, "free", at=60))
    assert await held() == {"none", "a buyer"}


async def test_who_leaves_an_account_no_longer_counts(world: World) -> None:
    pro = await segment(world, PRO)
    condition = {"quantifier": "some", "segment_id": pro}
    made = await create(world, members=[condition])
    person = identify(world, 1, "pro")
    await world.post(group(world, 1), person)
    assert await inside(world, made["id"]) == ["acme"]
    path = f"/api/v1/accounts/{id_of(world)}/members/{person.subject_id}"
    await world.call("DELETE", path)
    left = await world.until(lambda c: c.type == "account.segment_exited")
    assert crossings(left) == [("exited", id_of(world))]


async def test_a_merge_of_members_counts_them_once(world: World) -> None:
    pro = await segment(world, PRO)
    two = await create(world, members=[{"quantifier": "at_least", "count": 2, "segment_id": pro}])
    anonymous = ("anonymous_id", "a1")
    other = world.event(
        anonymous, type="group", group_id="acme", context={"traits": {"plan": "pro"}}
    )
    await world.post(group(world, 1), identify(world, 1, "pro"), other)
    assert await inside(world, two["id"]) == ["acme"]
    merged = await world.post(world.event(user(1), anonymous))
    assert crossings(merged) == [("exited", id_of(world))]


async def test_a_replaced_segment_tells_only_differences(world: World) -> None:
    stays, leaves = group(world, 1, tier="gold", vip=True), group(world, 2, "other", tier="gold")
    await world.post(stays, leaves)
    made = await create(world, GOLD)
    await world.until(lambda c: c.type == "account.segment_entered")
    vip = {"field": "account.vip", "operator": "=", "value": True}
    body = {"name": "VIPs", "rule": {"combinator": "and", "rules": [GOLD, vip]}}
    answer = await world.call("PUT", f"{PATH}/{made['id']}", body)
    assert (answer.json()["name"], answer.json()["accounts"]) == ("VIPs", 1)
    told = await world.until(lambda c: c.type == "account.segment_exited")
    assert crossings(told) == [("exited", id_of(world, "other"))]


async def test_a_deleted_segment_is_gone(world: World) -> None:
    made = await create(world, GOLD)
    await world.post(group(world, 1, tier="gold"))
    path = f"{PATH}/{made['id']}"
    assert (await world.call("DELETE", path)).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await world.call(method, path)
        assert (gone.status_code, gone.json()["type"]) == (
            404,
            "/problems/account-segment-not-found",
        )
    assert (await world.get(f"/accounts/{id_of(world)}/segments"))["items"] == []
    assert crossings(await world.post(group(world, 1, tier="silver", at=20))) == []


async def test_a_segment_of_people_that_accounts_are_asked_about_stays(world: World) -> None:
    pro = await segment(world, PRO)
    made = await create(world, members=[{"quantifier": "some", "segment_id": pro}])
    refused = await world.call("DELETE", f"/api/v1/segments/{pro}")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/segment-in-use")
    assert (await world.call("DELETE", f"{PATH}/{made['id']}")).status_code == 204
    assert (await world.call("DELETE", f"/api/v1/segments/{pro}")).status_code == 204


async def test_segments_and_their_accounts_come_in_pages(world: World) -> None:
    ids = [(await create(world, name=name))["id"] for name in ("One", "Two", "Three")]
    await world.post(*(group(world, 1, f"g{n}") for n in range(3)))
    for path, key, expected in (
        ("/account-segments", "id", set(ids)),
        (f"/account-segments/{ids[0]}/accounts", "group_id", {"g0", "g1", "g2"}),
    ):
        first = await world.get(path, limit=2)
        rest = await world.get(path, limit=2, cursor=first["next_cursor"])
        assert {each[key] for each in first["items"] + rest["items"]} == expected
        assert (len(first["items"]), rest["next_cursor"]) == (2, None)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"rule": {"rules": [PRO]}}, "#/rule"),
        ({"rule": {"rules": [{"event": "Order Completed"}]}}, "#/rule"),
        (
            {"rule": {"rules": [{"field": "account.$roles", "operator": "notNull"}]}},
            "#/rule",
        ),
        (
            {"rule": {"rules": [{"field": "account", "operator": "notNull"}]}},
            "#/rule/rules/0/field",
        ),
        (
            {"members": [{"quantifier": "some", "segment_id": str(uuid4())}]},
            "#/members/0/segment_id",
        ),
        ({"members": [{"quantifier": "every"}]}, "#/members/0/segment_id"),
        ({"members": [{"quantifier": "at_least"}]}, "#/members/0/count"),
        ({"members": [{"quantifier": "some", "count": 2}]}, "#/members/0/count"),
        ({"members": [{"quantifier": "most"}]}, "#/members/0/quantifier"),
        ({"members": [{"quantifier": "some", "role": " "}]}, "#/members/0/role"),
        ({"name": " "}, "#/name"),
    ],
)
async def test_a_segment_that_means_nothing_names_the_field(
    world: World, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "A segment"} | change
    answer = await world.call("POST", PATH, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await world.get("/account-segments"))["items"] == []


async def test_a_name_is_taken_once(world: World) -> None:
    await create(world, name="Same")
    other = await create(world, name="Other")
    for method, path in (("POST", PATH), ("PUT", f"{PATH}/{other['id']}")):
        again = await world.call(method, path, {"name": "Same"})
        assert (again.status_code, again.json()["type"]) == (
            409,
            "/problems/account-segment-name-taken",
        )


async def test_a_workspace_sees_no_segment_of_accounts_of_another(world: World) -> None:
    made = await create(world, GOLD)
    stranger = user_headers("profile", uuid4())
    answer = await world.client.get(f"{PATH}/{made['id']}", headers=stranger)
    assert answer.status_code == 404
    assert (await world.client.get(PATH, headers=stranger)).json()["items"] == []
