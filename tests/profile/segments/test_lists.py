"""Lists over HTTP: people are put in and taken out, and whoever reads the list is told."""

from typing import Any
from uuid import uuid4

import pytest

from tests.profile.conftest import World
from tests.profile.segments.test_routes import create, crossings, group, identify, user

pytestmark = pytest.mark.anyio


async def make(world: World, name: str = "Invited") -> str:
    answer = await world.call("POST", "/api/v1/segments", {"name": name})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["kind"], made["rule"], made["status"]) == ("list", None, "ready")
    return str(made["id"])


def by_user(*numbers: int) -> dict[str, Any]:
    return {"members": [{"namespace": "user_id", "value": user(n)[1]} for n in numbers]}


async def move(world: World, segment_id: str, body: dict[str, Any], how: str = "") -> Any:
    answer = await world.call("POST", f"/api/v1/segments/{segment_id}/members{how}", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_people_enter_and_leave_a_list_by_hand_and_each_is_told_of_once(
    world: World,
) -> None:
    ada, bob = identify(world, 1), identify(world, 2)
    await world.post(ada, bob)
    invited = await make(world)
    assert await move(world, invited, by_user(1, 2, 9, 1)) == {
        "changed": 2,
        "unchanged": 0,
        "unknown": [2],
    }
    entered = await world.until(lambda c: c.type == "segment.entered")
    assert crossings(entered) == [
        ("segment.entered", ada.subject_id),
        ("segment.entered", bob.subject_id),
    ]
    again = await move(world, invited, {"members": [{"profile_id": ada.subject_id}]})
    assert again == {"changed": 0, "unchanged": 1, "unknown": []}
    await move(world, invited, by_user(1), "/remove")
    left = await world.until(lambda c: c.type == "segment.exited")
    assert crossings(left) == [("segment.exited", ada.subject_id)]
    members = await world.get(f"/segments/{invited}/members")
    assert [m["profile_id"] for m in members["items"]] == [bob.subject_id]


async def test_a_rule_that_reads_a_list_follows_it_at_once(world: World) -> None:
    ada = identify(world, 1, plan="pro")
    await world.post(ada)
    invited = await make(world)
    both = group(
        {"field": "segment", "operator": "=", "value": invited},
        {"field": "traits.plan", "operator": "=", "value": "pro"},
    )
    reader = await create(world, both, "Invited and pro")
    await world.ready(f"/api/v1/segments/{reader}", "status")
    await move(world, invited, by_user(1))
    entered = await world.until(lambda c: c.data.get("segment_id") == reader)
    assert crossings(entered) == [("segment.entered", ada.subject_id)] * 2
    await move(world, invited, by_user(1), "/remove")
    left = await world.until(lambda c: c.data.get("segment_id") == reader)
    assert crossings(left) == [("segment.exited", ada.subject_id)] * 2
    deleted = await world.call("DELETE", f"/api/v1/segments/{invited}")
    assert deleted.json()["type"].endswith("segment-in-use")


async def test_a_csv_names_people_by_the_first_column_that_does(world: World) -> None:
    ada = identify(world, 1, email="ada@example.com")
    await world.post(
        world.event(user(1), ("email", "ada@example.com"), type="identify"),
    )
    invited = await make(world)
    answer = await world.client.post(
        f"/api/v1/segments/{invited}/members/upload",
        content="\ufeffcity,email\nParis, Ada@Example.com \nRome,nobody@example.com\n".encode(),
        headers={**world.user, "Content-Type": "text/csv"},
    )
    assert answer.json() == {"changed": 1, "unchanged": 0, "unknown": [1]}
    members = await world.get(f"/segments/{invited}/members")
    assert [m["profile_id"] for m in members["items"]] == [ada.subject_id]


@pytest.mark.parametrize(
    "content", ["Name,Email\nAda,ada@example.com\n", "Name; EMAIL\nAda;ada@example.com\n"]
)
async def test_a_csv_is_read_as_spreadsheets_write_it(world: World, content: str) -> None:
    await world.post(world.event(user(1), ("email", "ada@example.com"), type="identify"))
    answer = await world.client.post(
        f"/api/v1/segments/{await make(world)}/members/upload",
        content=content.encode(),
        headers={**world.user, "Content-Type": "text/csv"},
    )
    assert answer.json() == {"changed": 1, "unchanged": 0, "unknown": []}


async def test_versions_of_a_list_show_no_rule(world: World) -> None:
    versions = await world.get(f"/segments/{await make(world)}/versions")
    assert [version["rule"] for version in versions["items"]] == [None]


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b"", "#/body"),
        (b"\xff\xfe", "#/body"),
        (b"name\nada\n", "#/body"),
        (b"profile_id\nada\n", "#/body/0"),
        (b"city,email\nParis\n", "#/body/0"),
    ],
)
async def test_a_file_that_names_nobody_is_refused_whole(
    world: World, content: bytes, pointer: str
) -> None:
    invited = await make(world)
    answer = await world.client.post(
        f"/api/v1/segments/{invited}/members/upload",
        content=content,
        headers={**world.user, "Content-Type": "text/csv"},
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_segment_with_a_rule_takes_no_members_and_a_list_no_rule(world: World) -> None:
    ruled, invited = await create(world, group(), "Everybody"), await make(world)
    answer = await world.call("POST", f"/api/v1/segments/{ruled}/members", by_user(1))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (
        422,
        "#/path/segment_id",
    )
    for segment_id, rule in ((ruled, None), (invited, group())):
        body = {"name": "Other", "rule": rule}
        answer = await world.call("PUT", f"/api/v1/segments/{segment_id}", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/rule")
    unknown = await world.call("POST", f"/api/v1/segments/{uuid4()}/members", by_user(1))
    assert unknown.status_code == 404
    neither = {"members": [{"namespace": "email"}]}
    answer = await world.call("POST", f"/api/v1/segments/{invited}/members", neither)
    assert answer.status_code == 422
    named = {"members": [{"namespace": "shoe", "value": "42"}]}
    answer = await world.call("POST", f"/api/v1/segments/{invited}/members", named)
    assert answer.status_code == 422


async def test_the_survivor_of_a_merge_is_in_the_lists_of_both(world: World) -> None:
    anonymous = world.event(("anonymous_id", "a1"))
    await world.post(anonymous)
    await world.post(identify(world, 1))
    invited = await make(world)
    await move(world, invited, {"members": [{"namespace": "anonymous_id", "value": "a1"}]})
    known = world.event(user(1), ("anonymous_id", "a1"), type="identify")
    changes = await world.post(known)
    assert [c for c in crossings(changes) if c[0] == "segment.exited"] == []
    members = await world.get(f"/segments/{invited}/members")
    assert [m["profile_id"] for m in members["items"]] == [known.subject_id]
