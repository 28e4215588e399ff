"""Profiles over HTTP: reading, finding, changing, consents."""

from typing import Any
from uuid import uuid4

import pytest

from tests.profile.conftest import World
from tests.support.app import user_headers

pytestmark = pytest.mark.anyio

USER = ("user_id", "u1")
DAY = 86_400_000
NOON = 1_700_000_000_000


async def test_the_latest_value_by_event_time_wins_whatever_comes_last(world: World) -> None:
    for at, plan in ((NOON, "pro"), (NOON, "vip"), (NOON - DAY, "free")):
        said = world.event(USER, type="identify", traits={"plan": plan, str(at): 1}, at=at)
        await world.post(said)
    profile = await world.get(f"/profiles/{said.subject_id}")
    assert profile["traits"] == {"plan": "vip", str(NOON): 1, str(NOON - DAY): 1}
    assert profile["first_seen_at"] == "2023-11-13T22:13:20Z"
    assert profile["last_seen_at"] == "2023-11-14T22:13:20Z"


async def test_traits_in_the_context_count_and_those_of_a_group_do_not(world: World) -> None:
    tracked = world.event(USER, context={"traits": {"city": "Köln"}})
    grouped = world.event(USER, type="group", traits={"employees": 7})
    await world.post(tracked, grouped)
    assert (await world.get(f"/profiles/{tracked.subject_id}"))["traits"] == {"city": "Köln"}


async def test_patched_traits_are_told_move_segments_and_outlive_older_events(
    world: World,
) -> None:
    said = world.event(USER, type="identify", traits={"plan": "free", "coupon": "X"}, at=NOON)
    pro = {"field": "traits.plan", "operator": "=", "value": "pro"}
    body = {"name": "Pro", "rule": {"combinator": "and", "rules": [pro]}}
    await world.call("POST", "/api/v1/segments", body)
    await world.post(said)
    path = f"/api/v1/profiles/{said.subject_id}"
    patch = {"traits": {"plan": "pro", "coupon": None}}
    answer = await world.call("PATCH", path, patch)
    assert answer.json()["traits"] == {"plan": "pro"}
    changes = await world.until(lambda c: c.type == "profile.updated")
    assert [c.type for c in changes] == ["event", "profile.updated", "segment.entered"]
    assert changes[1].data == {"traits": {"coupon": None, "plan": "pro"}}
    await world.post(world.event(USER, type="identify", traits=said_again(), at=NOON + DAY))
    assert (await world.get(f"/profiles/{said.subject_id}"))["traits"] == {"plan": "pro"}


def said_again() -> dict[str, object]:
    return {"plan": "free", "coupon": "X"}


async def test_consents_are_a_ledger_and_the_latest_statement_counts(world: World) -> None:
    for at, state in ((NOON, True), (NOON, True), (NOON + DAY, False), (NOON - DAY, True)):
        context = {"consent": {"categoryPreferences": {"marketing": state}}}
        last = world.event(USER, context=context, at=at)
        await world.post(last)
    told = [c.data["state"] for c in world.seen if c.type == "consent.changed"]
    assert told == ["granted", "withdrawn"]
    ledger = await world.get(f"/profiles/{last.subject_id}/consents")
    assert [e["state"] for e in ledger["items"]] == ["granted", "withdrawn", "granted"]
    assert ledger["current"] == {"marketing": "withdrawn"}
    first = await world.get(f"/profiles/{last.subject_id}/consents", limit=2)
    rest = await world.get(
        f"/profiles/{last.subject_id}/consents", limit=2, cursor=first["next_cursor"]
    )
    assert first["items"] + rest["items"] == ledger["items"]


async def test_a_merge_keeps_the_latest_statement_of_each_consent(world: World) -> None:
    anonymous = ("anonymous_id", "a1")
    for named, at, marketing in ((USER, NOON, True), (anonymous, NOON + DAY, False)):
        context = {"consent": {"categoryPreferences": {"marketing": marketing}}}
        await world.post(world.event(named, context=context, at=at))
    merged = await world.post(world.event(USER, anonymous))
    assert [c.data["state"] for c in merged if c.type == "consent.changed"] == ["withdrawn"]
    profile = await world.get(f"/profiles/{world.event(USER).subject_id}")
    assert profile["consents"] == {"marketing": "withdrawn"}
    ledger = await world.get(f"/profiles/{profile['id']}/consents")
    assert [e["state"] for e in ledger["items"]] == ["withdrawn", "granted"]


async def test_profiles_come_in_pages(world: World) -> None:
    events = [world.event(("user_id", f"u{n}")) for n in range(5)]
    await world.post(*events)
    ids: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await world.get("/profiles", limit=2, **cursor)
        ids += [p["id"] for p in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert ids == sorted(e.subject_id for e in events)


async def test_people_are_read_together_by_any_of_their_ids(world: World) -> None:
    anonymous, other = world.event(("anonymous_id", "a1")), world.event(("user_id", "u2"))
    both = world.event(("user_id", "u1"), ("anonymous_id", "a1"))
    await world.post(anonymous, other, both, world.event(("user_id", "u3")))
    mine = (await world.get(f"/profiles/{both.subject_id}"))["id"]
    asked = [anonymous.subject_id, both.subject_id, other.subject_id, str(uuid4())]
    page = await world.get("/profiles", id=asked)
    assert page["next_cursor"] is None
    assert [p["id"] for p in page["items"]] == sorted([mine, other.subject_id])
    assert (await world.get("/profiles", id=[str(uuid4())]))["items"] == []
    many = "&".join(f"id={uuid4()}" for _ in range(101))
    assert (await world.call("GET", f"/api/v1/profiles?{many}")).status_code == 422


async def test_a_person_is_found_by_any_identifier_however_it_is_written(world: World) -> None:
    event = world.event(USER, ("email", "ada@example.org"))
    await world.post(event)
    found = await world.get("/profiles", namespace="email", value="Ada@Example.org")
    assert [p["id"] for p in found["items"]] == [event.subject_id]
    assert (await world.get("/profiles", namespace="email", value="x@y.z"))["items"] == []
    named = await world.get(f"/profiles/{event.subject_id}/identifiers")
    assert {(i["namespace"], i["value"]) for i in named["items"]} == set(event.identifiers)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?namespace=shoe&value=7", "#/query/namespace"),
        ("?namespace=email", "#/query/value"),
        ("?value=7", "#/query/namespace"),
        ("?limit=0", "#/query/limit"),
        ("?cursor=nonsense", "#/query/cursor"),
    ],
)
async def test_a_wrong_query_names_the_parameter(world: World, query: str, pointer: str) -> None:
    answer = await world.call("GET", f"/api/v1/profiles{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize("body", [{}, {"traits": {}}, {"traits": {"": 1}}, {"traits": 1, "x": 2}])
async def test_a_wrong_patch_changes_nothing(world: World, body: dict[str, Any]) -> None:
    event = world.event(USER, type="identify", traits={"plan": "pro"})
    await world.post(event)
    answer = await world.call("PATCH", f"/api/v1/profiles/{event.subject_id}", body)
    assert answer.status_code == 422
    assert (await world.get(f"/profiles/{event.subject_id}"))["traits"] == {"plan": "pro"}


async def test_a_profile_of_another_workspace_is_as_missing_as_one_that_never_was(
    world: World,
) -> None:
    event = world.event(USER)
    await world.post(event)
    other = user_headers("profile", uuid4())
    for path in ("", "/identifiers", "/segments", "/consents", "/stages"):
        answers = [
            await world.client.get(f"/api/v1/profiles/{profile_id}{path}", headers=other)
            for profile_id in (event.subject_id, str(uuid4()))
        ]
        assert [a.status_code for a in answers] == [404, 404]
        assert {a.json()["type"] for a in answers} == {"/problems/profile-not-found"}
