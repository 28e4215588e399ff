"""What merging and undoing refuse, and that a refusal changes nothing at all."""

from typing import Any
from uuid import uuid4

import pytest

from services.profile.merges import service
from tests.profile.conftest import World
from tests.profile.merges.test_routes import BODY, merge, two_known, undo
from tests.profile.stream.test_worker import query
from tests.support.app import user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio


async def dump(database: Database) -> list[Any]:
    tables = ("profile", "identifier", "alias", "merge", "unmerge", "feed", "consent")
    rows = "SELECT * FROM {} ORDER BY 2, 3"
    return [await query(database, rows.format(table)) for table in tables]


async def recounts(database: Database) -> set[Any]:
    """A queue: what waits in it may be done at any moment."""
    return set(await query(database, "SELECT * FROM recount"))


async def refusal(
    world: World, database: Database, path: str, body: Any, status: int, problem: str
) -> Any:
    """Asserts that nothing at all was changed."""
    before, waiting = await dump(database), await recounts(database)
    answer = await world.call("POST", path, body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")
    assert await dump(database) == before
    assert await recounts(database) <= waiting
    return answer.json()


async def test_nobody_is_merged_with_themselves_under_any_id(
    world: World, profile_database: Database
) -> None:
    one, other = await two_known(world)
    path = f"/api/v1/profiles/{one}/merge"
    body = {"merged_id": one, **BODY}
    await refusal(world, profile_database, path, body, 409, "profiles-are-one")
    await merge(world, one, other)
    for path_id, merged_id in ((one, other), (other, one), (other, other)):
        path, body = f"/api/v1/profiles/{path_id}/merge", {"merged_id": merged_id, **BODY}
        answer = await refusal(world, profile_database, path, body, 409, "profiles-are-one")
        assert answer["profile_id"] == one


async def test_unknown_ids_are_named(world: World, profile_database: Database) -> None:
    one, _ = await two_known(world)
    nobody = str(uuid4())
    for path_id, merged_id in ((one, nobody), (nobody, one)):
        path, body = f"/api/v1/profiles/{path_id}/merge", {"merged_id": merged_id, **BODY}
        answer = await refusal(world, profile_database, path, body, 404, "profile-not-found")
        assert answer["profile_id"] == nobody
    path = f"/api/v1/merges/{nobody}/undo"
    answer = await refusal(world, profile_database, path, BODY, 404, "merge-not-found")
    assert answer["merge_id"] == nobody
    for path in (f"/merges/{nobody}", f"/profiles/{nobody}/merges", f"/profiles/{nobody}/graph"):
        assert (await world.call("GET", f"/api/v1{path}")).status_code == 404


@pytest.mark.parametrize(
    ("limit", "value", "member"),
    [("MAX_IDENTIFIERS", 3, "identifiers"), ("MAX_MERGES", 0, "merges")],
)
async def test_beyond_the_limits_nothing_is_merged(
    world: World,
    profile_database: Database,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    member: str,
) -> None:
    monkeypatch.setattr(service, limit, value)
    one, other = await two_known(world)
    path, body = f"/api/v1/profiles/{one}/merge", {"merged_id": other, **BODY}
    answer = await refusal(world, profile_database, path, body, 409, "merge-too-large")
    assert answer[member] == value + 1


async def test_a_merge_is_undone_once(world: World, profile_database: Database) -> None:
    one, other = await two_known(world)
    answer = await merge(world, one, other)
    await undo(world, answer["id"])
    path = f"/api/v1/merges/{answer['id']}/undo"
    await refusal(world, profile_database, path, BODY, 409, "merge-undone")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/merged_id"),
        ({"merged_id": "x", "reason": "r"}, "#/merged_id"),
        ({"merged_id": str(uuid4())}, "#/reason"),
        ({"merged_id": str(uuid4()), "reason": ""}, "#/reason"),
        ({"merged_id": str(uuid4()), "reason": "r" * 1001}, "#/reason"),
        ({"merged_id": str(uuid4()), "reason": "r", "force": True}, "#/force"),
    ],
)
async def test_a_wrong_body_names_the_field(world: World, body: Any, pointer: str) -> None:
    answer = await world.call("POST", f"/api/v1/profiles/{uuid4()}/merge", body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_another_workspace_neither_sees_nor_undoes_a_merge(world: World) -> None:
    one, other = await two_known(world)
    answer = await merge(world, one, other)
    stranger = user_headers("profile", uuid4())
    for method, path, body in (
        ("GET", f"/api/v1/merges/{answer['id']}", None),
        ("POST", f"/api/v1/merges/{answer['id']}/undo", BODY),
        ("GET", f"/api/v1/profiles/{one}/graph", None),
        ("GET", f"/api/v1/profiles/{one}/merges", None),
    ):
        got = await world.client.request(method, path, json=body, headers=stranger)
        assert got.status_code == 404
