"""Accounts over HTTP: made by group calls, changed by people, in hierarchies."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.postgres import create_sessionmaker, workspace_tx
from tests.profile.accounts.support import group, id_of, members, told, user
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.support.app import user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio


async def test_a_group_call_makes_an_account_and_puts_its_person_in(world: World) -> None:
    call = group(world, 1, role="Buyer", name="Acme Ltd", at=5)
    changes = await world.post(call)
    assert [c.type for c in changes] == ["event", "account.updated", "account.member_changed"]
    account_id = id_of(world)
    assert told(changes, "account.updated") == [
        (account_id, {"group_id": "acme", "traits": {"name": "Acme Ltd"}})
    ]
    assert told(changes, "account.member_changed") == [
        (call.subject_id, {"account_id": account_id, "member": True, "roles": ["buyer"]})
    ]
    account = await world.get(f"/accounts/{account_id}")
    assert account | {"first_seen_at": "", "last_seen_at": ""} == {
        "id": account_id,
        "group_id": "acme",
        "traits": {"name": "Acme Ltd"},
        "parent_id": None,
        "members": 1,
        "first_seen_at": "",
        "last_seen_at": "",
    }
    assert (await world.get("/accounts", group_id=" acme "))["items"] == [account]
    assert (await world.get("/accounts", group_id="other"))["items"] == []
    assert await members(world) == {call.subject_id: ["buyer"]}
    (mine,) = (await world.get(f"/profiles/{call.subject_id}/accounts"))["items"]
    assert (mine["group_id"], mine["roles"], mine["primary"]) == ("acme", ["buyer"], True)
    assert mine["name"] == "Acme Ltd"
    # The traits of a group call are the account's, not the person's.
    assert (await world.get(f"/profiles/{call.subject_id}"))["traits"] == {}


async def test_a_group_call_that_says_nothing_new_tells_nothing(world: World) -> None:
    await world.post(group(world, 1, role="buyer", tier="gold", at=5))
    changes = await world.post(group(world, 1, role=["buyer"], tier="gold", at=6))
    assert [c.type for c in changes] == ["event"]


async def test_what_was_said_later_counts_whatever_arrives_first(world: World) -> None:
    await world.post(group(world, 1, role=["decider"], tier="gold", at=20))
    late = group(world, 1, role=["user"], tier="silver", seats=5, at=10)
    changes = await world.post(late)
    assert told(changes, "account.updated")[0][1]["traits"] == {"seats": 5}
    assert told(changes, "account.member_changed") == []
    account = await world.get(f"/accounts/{id_of(world)}")
    assert account["traits"] == {"tier": "gold", "seats": 5}
    assert account["first_seen_at"] < account["last_seen_at"]
    assert await members(world) == {late.subject_id: ["decider"]}


@pytest.mark.parametrize("name", ["null", " ", "undefined"])
async def test_a_placeholder_is_no_account(world: World, name: str) -> None:
    changes = await world.post(group(world, 1, name))
    assert [c.type for c in changes] == ["event"]
    assert (await world.get("/accounts"))["items"] == []


async def test_a_call_that_names_no_real_person_speaks_of_the_account_only(world: World) -> None:
    call = world.event(
        ("anonymous_id", "$company_acme"),
        type="group",
        group_id="acme",
        traits={"tier": "gold"},
        context={"account": {"member": False}},
    )
    await world.post(call)
    account = await world.get(f"/accounts/{id_of(world)}")
    assert (account["traits"], account["members"]) == ({"tier": "gold"}, 0)


async def test_an_event_of_an_account_changes_no_membership(world: World) -> None:
    await world.post(world.event(user(1), name="Order Completed", group_id="acme"))
    assert (await world.get("/accounts"))["items"] == []


async def test_roles_are_data_and_found_by(world: World) -> None:
    buyer = group(world, 1, role=[" Buyer", "buyer", "", 7, "x" * 51])
    both = group(world, 2, role=["decider", "buyer"])
    await world.post(buyer, both, group(world, 3))
    assert await members(world, role="Buyer") == {
        buyer.subject_id: ["buyer"],
        both.subject_id: ["buyer", "decider"],
    }
    assert len(await members(world)) == 3
    first = await world.get(f"/accounts/{id_of(world)}/members", limit=2)
    rest = await world.get(
        f"/accounts/{id_of(world)}/members", limit=2, cursor=first["next_cursor"]
    )
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)


async def test_people_are_put_in_and_taken_out_by_the_api(world: World, clock: FakeClock) -> None:
    person = group(world, 1, "other")
    await world.post(person, group(world, 2))
    path = f"/api/v1/accounts/{id_of(world)}/members/{person.subject_id}"
    assert (await world.call("PUT", path, {"roles": ["Champion"]})).status_code == 204
    told_in = await world.until(lambda c: c.type == "account.member_changed")
    assert told(told_in, "account.member_changed")[0][1]["roles"] == ["champion"]
    assert (await members(world))[person.subject_id] == ["champion"]
    accounts = (await world.get(f"/profiles/{person.subject_id}/accounts"))["items"]
    assert [(a["group_id"], a["primary"]) for a in accounts] == [("acme", True), ("other", False)]

    assert (await world.call("DELETE", path)).status_code == 204
    told_out = await world.until(lambda c: c.type == "account.member_changed")
    assert told(told_out, "account.member_changed")[0][1]["member"] is False
    assert person.subject_id not in await members(world)
    again = await world.call("DELETE", path)
    assert (again.status_code, again.json()["type"]) == (404, "/problems/account-member-not-found")

    now_ms = round(clock.now().timestamp() * 1000)
    await world.post(group(world, 1, at=now_ms - 1))
    assert person.subject_id not in await members(world)
    await world.post(group(world, 1, at=now_ms + 1))
    assert (await members(world))[person.subject_id] == []


async def test_other_services_are_told_who_was_in_an_account_and_when(
    world: World, clock: FakeClock
) -> None:
    stays, leaves = group(world, 1, at=5), group(world, 2, at=7)
    await world.post(stays, leaves, group(world, 1, at=9))
    path = f"/api/v1/accounts/{id_of(world)}/members/{leaves.subject_id}"
    assert (await world.call("DELETE", path)).status_code == 204
    answer = await world.call("GET", f"/internal/v1/accounts/{id_of(world)}/spans")
    until = clock.now().isoformat().replace("+00:00", "Z")
    assert answer.json() == {
        "group_id": "acme",
        "members": [
            {
                "profile_id": stays.subject_id,
                "since": "1970-01-01T00:00:00.005000Z",
                "until": None,
            },
            {
                "profile_id": leaves.subject_id,
                "since": "1970-01-01T00:00:00.007000Z",
                "until": until,
            },
        ],
    }
    first = await world.call("GET", f"/internal/v1/accounts/{id_of(world)}/spans?limit=1")
    assert [m["profile_id"] for m in first.json()["members"]] == [stays.subject_id]
    nobody = await world.call("GET", f"/internal/v1/accounts/{uuid4()}/spans")
    assert nobody.status_code == 404


async def test_traits_said_by_a_person_count_as_said_now(world: World, clock: FakeClock) -> None:
    await world.post(group(world, 1, tier="silver", seats=5))
    path = f"/api/v1/accounts/{id_of(world)}"
    answer = await world.call("PATCH", path, {"traits": {"tier": "gold", "seats": None}})
    assert answer.json()["traits"] == {"tier": "gold"}
    changes = await world.until(lambda c: c.type == "account.updated")
    assert told(changes, "account.updated")[0][1]["traits"] == {"seats": None, "tier": "gold"}
    at = round(clock.now().timestamp() * 1000) - 1
    await world.post(group(world, 1, tier="silver", at=at))
    assert (await world.get(f"/accounts/{id_of(world)}"))["traits"] == {"tier": "gold"}


async def create(world: World, name: str, parent_id: str | None = None) -> Any:
    body = {"group_id": name, "parent_id": parent_id}
    answer = await world.call("POST", "/api/v1/accounts", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_accounts_lie_below_each_other(world: World) -> None:
    top = await create(world, "holding")
    await world.post(group(world, 1))
    answer = await world.call("PATCH", f"/api/v1/accounts/{id_of(world)}", {"parent_id": top["id"]})
    assert answer.json()["parent_id"] == top["id"]
    leaf = await create(world, "leaf", id_of(world))
    above = (await world.get(f"/accounts/{leaf['id']}/ancestors"))["items"]
    assert [a["group_id"] for a in above] == ["acme", "holding"]
    below = (await world.get(f"/accounts/{top['id']}/children"))["items"]
    assert [a["group_id"] for a in below] == ["acme"]
    untouched = await world.call("PATCH", f"/api/v1/accounts/{id_of(world)}", {"traits": {"a": 1}})
    assert untouched.json()["parent_id"] == top["id"]
    freed = await world.call("PATCH", f"/api/v1/accounts/{id_of(world)}", {"parent_id": None})
    assert freed.json()["parent_id"] is None


async def test_a_circle_of_accounts_is_refused(world: World) -> None:
    top = await create(world, "top")
    middle = await create(world, "middle", top["id"])
    leaf = await create(world, "leaf", middle["id"])
    for parent in (top, leaf):
        path = f"/api/v1/accounts/{top['id']}"
        answer = await world.call("PATCH", path, {"parent_id": parent["id"]})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/parent_id"
        assert "circle" in answer.json()["detail"]
    assert (await world.get(f"/accounts/{top['id']}"))["parent_id"] is None


async def test_a_hierarchy_has_at_most_ten_levels(world: World) -> None:
    parent = None
    for number in range(10):
        parent = (await create(world, f"level {number}", parent))["id"]
    answer = await world.call(
        "POST", "/api/v1/accounts", {"group_id": "level 10", "parent_id": parent}
    )
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/parent_id")
    assert (await world.get("/accounts", group_id="level 10"))["items"] == []
    pair = await create(world, "below", (await create(world, "above"))["id"])
    level_8 = (await world.get("/accounts", group_id="level 8"))["items"][0]["id"]
    path = f"/api/v1/accounts/{pair['parent_id']}"
    assert (await world.call("PATCH", path, {"parent_id": level_8})).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "", {"group_id": "null"}, "#/group_id"),
        ("POST", "", {"group_id": "  "}, "#/group_id"),
        ("POST", "", {"group_id": "new", "traits": {"$roles": 1}}, "#/traits"),
        ("POST", "", {"group_id": "new", "parent_id": str(uuid4())}, "#/parent_id"),
        ("PATCH", "/{id}", {"colour": "red"}, "#/colour"),
        ("PUT", "/{id}/members/{person}", {"roles": [" "]}, "#/roles/0"),
        ("PUT", "/{id}/members/{person}", {"roles": ["r"] * 21}, "#/roles"),
        ("GET", "?cursor=x", None, "#/query/cursor"),
    ],
)
async def test_what_makes_no_sense_names_the_field(
    world: World, method: str, path: str, body: Any, pointer: str
) -> None:
    person = group(world, 1)
    await world.post(person)
    full = "/api/v1/accounts" + path.format(id=id_of(world), person=person.subject_id)
    answer = await world.call(method, full, body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert len((await world.get("/accounts"))["items"]) == 1


async def test_what_is_not_there_is_not_found(world: World) -> None:
    person = group(world, 1)
    await world.post(person)
    nobody = uuid4()
    calls: list[tuple[str, str, Any, str]] = [
        ("GET", f"{nobody}", None, "account-not-found"),
        ("PATCH", f"{nobody}", {"traits": {"a": 1}}, "account-not-found"),
        ("GET", f"{nobody}/members", None, "account-not-found"),
        ("GET", f"{nobody}/children", None, "account-not-found"),
        ("GET", f"{nobody}/ancestors", None, "account-not-found"),
        ("GET", f"{nobody}/segments", None, "account-not-found"),
        ("PUT", f"{nobody}/members/{person.subject_id}", {"roles": []}, "account-not-found"),
        ("PUT", f"{id_of(world)}/members/{nobody}", {"roles": []}, "profile-not-found"),
    ]
    for method, path, body, problem in calls:
        answer = await world.call(method, f"/api/v1/accounts/{path}", body)
        assert (answer.status_code, answer.json()["type"]) == (404, f"/problems/{problem}")
    again = await world.call("POST", "/api/v1/accounts", {"group_id": "acme"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/account-exists")
    assert again.json()["account_id"] == id_of(world)


async def test_accounts_come_in_pages(world: World) -> None:
    await world.post(*(group(world, 1, f"g{n}") for n in range(3)))
    first = await world.get("/accounts", limit=2)
    rest = await world.get("/accounts", limit=2, cursor=first["next_cursor"])
    names = {a["group_id"] for a in first["items"] + rest["items"]}
    assert (names, rest["next_cursor"]) == ({"g0", "g1", "g2"}, None)


async def test_a_workspace_sees_no_account_of_another(
    world: World, profile_database: Database
) -> None:
    await world.post(group(world, 1, role="buyer"))
    stranger = user_headers("profile", uuid4())
    for path in ("", "/members"):
        url = f"/api/v1/accounts/{id_of(world)}{path}"
        assert (await world.client.get(url, headers=stranger)).status_code == 404
    # Row-level security holds even where a statement forgets the workspace.
    engine = create_async_engine(profile_database.app_dsn)
    async with workspace_tx(create_sessionmaker(engine), uuid4()) as session:
        for table in ("account", "account_member"):
            seen = await session.execute(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
            assert seen.scalar_one() == 0
    await engine.dispose()
