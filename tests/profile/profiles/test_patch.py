"""Traits changed through the API: in the log first, all or nothing."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.profile.main import create_app
from services.profile.stream import say
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
ANONYMOUS = ("anonymous_id", "a1")
EMAIL = ("email", "ada@example.com")


async def person(world: World, *named: tuple[str, str], **traits: Any) -> str:
    """The path of a profile that an event named."""
    event = world.event(*(named or (USER,)), type="identify", traits=traits)
    await world.post(event)
    return f"/api/v1/profiles/{event.subject_id}"


async def patched(world: World, path: str, **traits: Any) -> httpx2.Response:
    return await world.call("PATCH", path, {"traits": traits})


@pytest.mark.parametrize("named", [(USER, EMAIL), (ANONYMOUS, EMAIL), (ANONYMOUS,)])
async def test_a_change_is_read_back_at_once_whatever_the_person_is_known_by(
    world: World, named: tuple[tuple[str, str], ...]
) -> None:
    path = await person(world, *named, plan="free", coupon="X")
    answer = await patched(world, path, plan="pro", coupon=None)
    assert (answer.status_code, answer.json()["traits"]) == (200, {"plan": "pro"})
    assert len((await world.get("/profiles"))["items"]) == 1
    history = (await world.get(f"{path[7:]}/traits/plan/history"))["items"]
    assert [(s["value"], s["source_id"]) for s in history] == [("pro", "api"), ("free", "source")]


async def test_who_is_known_by_an_email_alone_is_named_by_it(world: World) -> None:
    path = await person(world, EMAIL, plan="free")
    answer = await patched(world, path, plan="pro")
    assert answer.json()["traits"] == {"plan": "pro", "email": EMAIL[1]}
    other = await patched(world, path, email="eve@example.com")
    assert (other.status_code, pointers(other)) == (422, ["#/traits/email"])
    assert (await patched(world, path, email="Ada@example.com")).status_code == 200
    assert len((await world.get("/profiles"))["items"]) == 1


async def test_who_is_known_by_a_namespace_of_the_workspace_alone_is_named_by_it(
    world: World,
) -> None:
    own = [{"name": "user_id"}, {"name": "loyalty_id"}, {"name": "anonymous_id"}]
    set_ = await world.call("PUT", "/api/v1/identity-policy", {"namespaces": own})
    assert set_.status_code == 200, set_.text
    path = await person(world, ("loyalty_id", "L7"), plan="free")
    answer = await patched(world, path, plan="pro")
    assert (answer.status_code, answer.json()["traits"]) == (200, {"plan": "pro"})
    assert len((await world.get("/profiles"))["items"]) == 1


async def test_a_merged_away_id_changes_the_survivor(world: World) -> None:
    path = await person(world, ANONYMOUS)
    await person(world, USER, ANONYMOUS, plan="free")
    answer = await patched(world, path, plan="pro")
    assert (answer.json()["user_id"], answer.json()["traits"]) == ("u1", {"plan": "pro"})


async def test_objects_are_replaced_or_merged_as_the_content_type_says(world: World) -> None:
    path = await person(world, address={"city": "Köln", "geo": {"x": 1, "y": 2}}, plan="pro")
    body = {"traits": {"address": {"zip": "50667", "geo": {"x": None}}, "tags": ["a"]}}
    merged = await world.client.patch(
        path, json=body, headers={**world.user, "Content-Type": "application/merge-patch+json"}
    )
    assert merged.json()["traits"] == {
        "address": {"city": "Köln", "zip": "50667", "geo": {"y": 2}},
        "tags": ["a"],
        "plan": "pro",
    }
    replaced = await world.call("PATCH", path, body)
    assert replaced.json()["traits"]["address"] == {"zip": "50667", "geo": {"x": None}}


def pointers(answer: httpx2.Response) -> list[str]:
    return [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("traits", "pointer"),
    [
        ({"age": "seven"}, "#/traits/age"),
        ({"blood": "A"}, "#/traits/blood"),
        ({"held": 2}, "#/traits/held"),
        ({"x": "x" * 8191}, "#/traits/x"),
        ({"a/b~c": [[[[[[[[[1]]]]]]]]]}, "#/traits/a~1b~0c"),
        ({f"k{n}": "x" * 8000 for n in range(5)}, "#/traits"),
    ],
)
async def test_one_trait_that_cannot_be_taken_refuses_all_by_its_name(
    world: World, traits: dict[str, Any], pointer: str
) -> None:
    health = {"type": "string", "classification": "sensitive", "consent_purpose": "health"}
    await world.call("PUT", "/api/v1/trait-definitions/blood", health)
    await world.call("PUT", "/api/v1/trait-definitions/age", {"type": "number"})
    held = {"sources": [{"source_id": "source", "priority": 1}]}
    await world.call("PUT", "/api/v1/trait-settings", held)
    path = await person(world, held=1)
    answer = await patched(world, path, plan="pro", **traits)
    assert (answer.status_code, pointers(answer)) == (422, [pointer])
    assert answer.json()["detail"]
    assert (await world.get(path[7:]))["traits"] == {"held": 1}
    assert (await world.get("/trait-refusals"))["items"] == []


async def test_limits_of_a_profile_hold_for_the_api(world: World) -> None:
    path = await person(world, **{f"k{n:03}": n for n in range(499)})
    answer = await patched(world, path, a=1, b=2)
    assert (answer.status_code, pointers(answer)) == (422, ["#/traits/b"])
    for number in range(7):
        assert (await patched(world, path, **{f"k{number:03}": "x" * 8190})).status_code == 200
    full = await patched(world, path, k007="x" * 8190)
    assert (full.status_code, pointers(full)) == (422, ["#/traits/k007"])
    assert (await patched(world, path, k006=None, k007="x" * 8190)).status_code == 200


async def test_a_granted_consent_and_a_higher_priority_let_the_api_speak(world: World) -> None:
    health = {"type": "string", "classification": "sensitive", "consent_purpose": "health"}
    await world.call("PUT", "/api/v1/trait-definitions/blood", health)
    named = [{"source_id": "source", "priority": 1}, {"source_id": "api", "priority": 2}]
    await world.call("PUT", "/api/v1/trait-settings", {"sources": named})
    path = await person(world, plan="free")
    consent = {"consent": {"categoryPreferences": {"health": True}}}
    await world.post(world.event(USER, context=consent))
    answer = await patched(world, path, plan="pro", blood="A")
    assert (answer.status_code, answer.json()["traits"]) == (200, {"plan": "pro"})
    assert answer.json()["masked_traits"] == ["blood"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say, "PATIENCE_SECONDS", 0.0)


async def test_a_change_behind_a_long_log_is_accepted_and_comes(
    world: World, impatient: None
) -> None:
    path = await person(world, plan="free")
    world.tracking.held = True
    answer = await patched(world, path, plan="pro")
    assert (answer.status_code, answer.json()["traits"]) == (202, {"plan": "free"})
    world.tracking.release()
    await world.until(lambda c: c.data.get("traits") == {"plan": "pro"})
    assert (await world.get(path[7:]))["traits"] == {"plan": "pro"}


async def test_without_tracking_nothing_is_changed_and_the_caller_is_told(world: World) -> None:
    path = await person(world, plan="free")
    world.tracking.down = True
    answer = await patched(world, path, plan="pro")
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
    world.tracking.down = False
    assert (await world.get(path[7:]))["traits"] == {"plan": "free"}


async def test_profiles_made_anew_from_the_log_have_what_was_changed_through_the_api(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock
) -> None:
    """What was refused and what counted is decided again, as it was, in blocks of another size."""
    workspace_id, homes = uuid4(), [database("profile") for _ in range(2)]
    async with running(create_app(settings(homes[0], tracking), clock)) as client:
        world = World(client, tracking, workspace_id)
        path = await person(world, ANONYMOUS, plan="free", age=7)
        assert (await patched(world, path, plan="pro", far=1e30)).status_code == 200
        await world.call("PUT", "/api/v1/trait-definitions/age", {"type": "number"})
        named = [{"source_id": "api", "priority": 5}]
        await world.call("PUT", "/api/v1/trait-settings", {"sources": named})
        assert (await patched(world, path, tags=["a", {"b": None}], far=1e30)).status_code == 200
        await person(world, USER, ANONYMOUS, tags="mine", age="seven", plan=None)
        assert (await patched(world, path, plan="vip")).status_code == 200
    await copy_configuration(*homes)
    again = settings(homes[1], tracking).model_copy(update={"block_rows": 3})
    async with running(create_app(again, clock)) as client:
        world = World(client, tracking, workspace_id)
        rows = len(tracking.rows[str(workspace_id)])
        await world.until(
            lambda c: c.type == "profile.updated" and c.data["traits"].get("plan") == "vip"
        )
    for table, order in (
        ("profile", "profile_id"),
        ("trait_history", "seq, key"),
        ("trait_refusal", "key, reason"),
    ):
        sql = f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY {order}"  # noqa: S608
        first, second = [await query(home, sql) for home in homes]
        assert first == second, table
        assert first
    assert rows == 5


async def copy_configuration(home: Database, other: Database) -> None:
    """What is no event: definitions and priorities, with the offsets they count from."""
    for table in ("trait_definition", "trait_setting"):
        rows = await query(home, f"SELECT to_jsonb(t)::text FROM {table} t")  # noqa: S608
        for row in rows:
            sql = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, :row)"  # noqa: S608
            await query(other, sql.replace(":row", "'" + row + "'"))


async def query(database: Database, sql: str) -> list[str]:
    """The first column, as the owner, who stands outside the fence."""
    engine = create_async_engine(database.owner_dsn)
    async with engine.begin() as connection:
        result = await connection.exec_driver_sql(sql)
        rows = [row[0] for row in result] if result.returns_rows else []
    await engine.dispose()
    return rows
