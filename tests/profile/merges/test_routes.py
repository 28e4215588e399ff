"""Merging and undoing over HTTP: who survives, what comes back, what stays, what is refused."""

from typing import Any
from uuid import uuid4

import pytest

from services.kit.pagination import encode_cursor
from tests.profile.conftest import World
from tests.profile.stream.test_worker import query
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

U1, U2 = ("user_id", "u1"), ("user_id", "u2")
MAIL, PHONE = ("email", "ada@example.org"), ("phone", "+4930123456")
A1, A2, A3 = (("anonymous_id", f"a{n}") for n in (1, 2, 3))
NOON = 1_700_000_000_000
BODY = {"reason": "One customer with two accounts."}


async def merge(world: World, path_id: str, merged_id: str) -> Any:
    body = {"merged_id": merged_id, **BODY}
    answer = await world.call("POST", f"/api/v1/profiles/{path_id}/merge", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def undo(world: World, merge_id: str) -> Any:
    answer = await world.call("POST", f"/api/v1/merges/{merge_id}/undo", BODY)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def made(world: World, profile_id: str) -> list[Any]:
    return list((await world.get(f"/profiles/{profile_id}/merges"))["items"])


async def names(world: World, profile_id: str) -> set[str]:
    found = await world.get(f"/profiles/{profile_id}/identifiers")
    return {each["value"] for each in found["items"]}


async def resolved(world: World, profile_id: str) -> str:
    return str((await world.get(f"/profiles/{profile_id}"))["id"])


async def two_known(world: World) -> tuple[str, str]:
    one = world.event(U1, A1, type="identify", traits={"plan": "pro", "city": "Köln"}, at=NOON)
    other = world.event(U2, A2, type="identify", traits={"plan": "free", "age": 7}, at=NOON + 1)
    await world.post(one, other)
    return one.subject_id, other.subject_id


async def test_of_two_known_people_the_one_in_the_path_survives_and_events_of_both_go_on(
    world: World, profile_database: Database
) -> None:
    one, other = await two_known(world)
    answer = await merge(world, other, one)
    assert (answer["profile_id"], answer["merged_id"]) == (other, one)
    assert (answer["decided_by"], answer["reason"]) == ("user:test", BODY["reason"])
    told = await world.until(lambda c: c.type == "profile.updated")
    assert [(c.type, c.profile_id) for c in told] == [
        ("profile.merged", other),
        *[("identity.linked", other)] * 2,
        ("profile.updated", other),
    ]
    assert told[-1].data == {"traits": {"city": "Köln"}}
    profile = await world.get(f"/profiles/{one}")
    assert (profile["id"], profile["user_id"]) == (other, "u2")
    assert profile["traits"] == {"plan": "free", "age": 7, "city": "Köln"}
    changes = await world.post(world.event(U1, A3), world.event(U2, A3), world.event(A3))
    assert {c.profile_id for c in changes} == {other}
    assert await query(profile_database, "SELECT * FROM conflict") == []


async def test_a_third_user_id_is_still_refused_after_a_merge_of_two_known_people(
    world: World, profile_database: Database
) -> None:
    one, other = await two_known(world)
    await merge(world, one, other)
    third = world.event(("user_id", "u3"), A2)
    changes = await world.post(third)
    assert [c.profile_id for c in changes if c.type == "event"] == [third.subject_id]
    assert await query(profile_database, "SELECT reason FROM conflict") == [("two_user_ids",)]


@pytest.mark.parametrize("known_first", [True, False])
async def test_a_known_person_survives_an_anonymous_one_whichever_stands_in_the_path(
    world: World, known_first: bool
) -> None:
    anonymous, known = world.event(A1), world.event(U1)
    await world.post(anonymous, known)
    ids = (known.subject_id, anonymous.subject_id)
    answer = await merge(world, *(ids if known_first else ids[::-1]))
    assert answer["profile_id"] == known.subject_id


async def test_of_two_anonymous_people_the_older_survives(world: World) -> None:
    older, younger = world.event(A1), world.event(A2)
    await world.post(older, younger)
    answer = await merge(world, younger.subject_id, older.subject_id)
    assert answer["profile_id"] == older.subject_id


async def test_an_undone_merge_gives_each_side_back_what_was_its_own(world: World) -> None:
    one, other = await two_known(world)
    before = [await world.get(f"/profiles/{each}") for each in (one, other)]
    answer = await merge(world, one, other)
    undone = await undo(world, answer["id"])
    assert undone["undone"]["profile_id"] == one
    assert undone["undone"]["revived_id"] == other
    assert [await world.get(f"/profiles/{each}") for each in (one, other)] == before
    told = await world.until(lambda c: c.type == "profile.unmerged")
    unmerged, *rest = told[told.index(next(c for c in told if c.type == "profile.unmerged")) :]
    assert unmerged.profile_id == one
    assert unmerged.data["merged_id"] == other
    assert other in unmerged.data["subject_ids"]
    assert one in unmerged.data["kept_subject_ids"]
    linked = {c.data["subject_id"] for c in rest if c.type == "identity.linked"}
    assert linked == set(unmerged.data["subject_ids"])
    updated = {c.profile_id: c.data["traits"] for c in rest if c.type == "profile.updated"}
    assert updated == {one: {"age": None}, other: {"plan": "free", "age": 7}}
    changes = await world.post(world.event(U2, A2), world.event(U1, A1))
    assert [c.profile_id for c in changes if c.type == "event"] == [other, one]


async def test_what_was_linked_since_goes_with_whom_it_was_linked_through(world: World) -> None:
    one, other = await two_known(world)
    answer = await merge(world, one, other)
    await world.post(
        world.event(U2, MAIL), world.event(MAIL, PHONE), world.event(PHONE, A3), world.event(U1)
    )
    assert await names(world, one) >= {"u1", "u2", MAIL[1], PHONE[1], "a3"}
    await undo(world, answer["id"])
    assert await names(world, one) == {"u1", "a1"}
    assert await names(world, other) == {"u2", "a2", MAIL[1], PHONE[1], "a3"}


async def test_a_user_id_goes_with_whom_it_was_linked_through_and_the_other_is_anonymous_again(
    world: World,
) -> None:
    people = [world.event(A1), world.event(A2)]
    await world.post(*people)
    older, younger = (each.subject_id for each in people)
    answer = await merge(world, older, younger)
    await world.post(world.event(U1, A2))
    assert (await world.get(f"/profiles/{older}"))["user_id"] == "u1"
    await undo(world, answer["id"])
    found = [(await world.get(f"/profiles/{each}"))["user_id"] for each in (older, younger)]
    assert found == [None, "u1"]


async def test_a_merge_that_an_event_made_is_undone_and_what_was_said_since_stays(
    world: World,
) -> None:
    anonymous = world.event(A1, type="identify", traits={"shoe": 44, "city": "Bonn"}, at=NOON)
    known = world.event(U1, type="identify", traits={"plan": "pro"}, at=NOON)
    joined = world.event(U1, A1, type="identify", traits={"city": "Köln"}, at=NOON + 5)
    await world.post(anonymous, known, joined)
    [merged] = await made(world, known.subject_id)
    assert (merged["decided_by"], merged["message_id"]) == (None, joined.message_id)
    await undo(world, merged["id"])
    revived = await world.get(f"/profiles/{anonymous.subject_id}")
    assert revived["traits"] == {"shoe": 44, "city": "Bonn"}
    assert revived["last_seen_at"] == "2023-11-14T22:13:20Z"
    kept = await world.get(f"/profiles/{known.subject_id}")
    assert kept["traits"] == {"plan": "pro", "city": "Köln"}


async def test_merges_are_undone_in_any_order_and_nested_ones_stay_where_they_are(
    world: World,
) -> None:
    """a3 → a2 → u1, and then u1 into u2: the middle one goes first."""
    people = [world.event(i) for i in (A2, A3, U1, U2)]
    await world.post(*people)
    second, third, known, other = (each.subject_id for each in people)
    inner = await merge(world, second, third)
    middle = await merge(world, known, second)
    outer = await merge(world, other, known)
    assert await names(world, other) == {"u1", "u2", "a2", "a3"}
    await undo(world, middle["id"])
    assert await resolved(world, third) == second
    assert await names(world, second) == {"a2", "a3"}
    assert await names(world, other) == {"u1", "u2"}
    await undo(world, inner["id"])
    assert await resolved(world, third) == third
    await undo(world, outer["id"])
    assert await names(world, known) == {"u1"}
    assert [m["id"] for m in await made(world, third)] == [inner["id"]]


async def test_a_person_of_both_sides_can_be_merged_again_after_an_undo(world: World) -> None:
    one, other = await two_known(world)
    first = await merge(world, one, other)
    await undo(world, first["id"])
    again = await merge(world, one, other)
    assert await resolved(world, other) == one
    await undo(world, again["id"])
    assert await names(world, other) == {"u2", "a2"}
    assert [m["undone"] is not None for m in await made(world, other)] == [True, True]


async def test_consents_go_back_and_a_withdrawal_since_counts_for_both(world: World) -> None:
    def said(who: tuple[str, str], at: int, **purposes: bool) -> Any:
        return world.event(who, context={"consent": {"categoryPreferences": purposes}}, at=at)

    await world.post(said(U1, NOON, news=True, sms=True), said(U2, NOON + 1, news=False))
    one, other = (world.event(u).subject_id for u in (U1, U2))
    answer = await merge(world, one, other)
    assert (await world.get(f"/profiles/{one}"))["consents"] == {
        "news": "withdrawn",
        "sms": "granted",
    }
    await world.post(said(U1, NOON + 2, sms=False, calls=True))
    await undo(world, answer["id"])
    kept = (await world.get(f"/profiles/{one}"))["consents"]
    assert kept == {"news": "granted", "sms": "withdrawn", "calls": "granted"}
    revived = (await world.get(f"/profiles/{other}"))["consents"]
    assert revived == {"news": "withdrawn", "sms": "withdrawn"}
    told = await world.until(lambda c: c.type == "consent.changed" and c.profile_id == other)
    after = told[[c.type for c in told].index("profile.unmerged") :]
    assert {
        (c.profile_id, c.data["purpose"], c.data["state"])
        for c in after
        if c.type == "consent.changed"
    } == {(one, p, s) for p, s in kept.items()} | {(other, p, s) for p, s in revived.items()}


async def test_what_was_said_since_goes_with_who_said_it_and_so_does_its_history(
    world: World,
) -> None:
    one, other = await two_known(world)
    answer = await merge(world, one, other)
    await world.post(
        world.event(U2, type="identify", traits={"plan": "vip", "shoe": 44}, at=NOON + 5),
        world.event(U1, type="identify", traits={"city": "Bonn"}, at=NOON + 6),
        world.event(A2, type="identify", traits={"age": 8}, at=NOON + 7),
    )
    assert (await world.get(f"/profiles/{one}"))["traits"]["plan"] == "vip"
    await undo(world, answer["id"])
    found = [(await world.get(f"/profiles/{each}"))["traits"] for each in (one, other)]
    assert found == [{"plan": "pro", "city": "Bonn"}, {"plan": "vip", "shoe": 44, "age": 8}]
    plans = [
        [
            line["value"]
            for line in (await world.get(f"/profiles/{each}/traits/plan/history"))["items"]
        ]
        for each in (one, other)
    ]
    assert plans == [["pro"], ["vip", "free"]]


async def test_a_second_undo_brings_back_nothing_of_who_left_by_the_first(world: World) -> None:
    one, other = await two_known(world)
    first = await merge(world, one, other)
    third = world.event(("user_id", "u3"), type="identify", traits={"hat": 1}, at=NOON)
    await world.post(third)
    second = await merge(world, one, third.subject_id)
    await world.post(
        world.event(("user_id", "u3"), type="identify", traits={"age": 9}, at=NOON + 9)
    )
    await undo(world, first["id"])
    await undo(world, second["id"])
    assert (await world.get(f"/profiles/{one}"))["traits"] == {"plan": "pro", "city": "Köln"}
    assert (await world.get(f"/profiles/{other}"))["traits"] == {"plan": "free", "age": 7}
    assert (await world.get(f"/profiles/{third.subject_id}"))["traits"] == {"hat": 1, "age": 9}


async def test_a_repeated_call_with_its_idempotency_key_changes_nothing(world: World) -> None:
    one, other = await two_known(world)
    headers = world.user | {"Idempotency-Key": "k1"}
    body = {"merged_id": other, **BODY}
    path = f"/api/v1/profiles/{one}/merge"
    first, again = [
        await world.client.request("POST", path, json=body, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    path = f"/api/v1/merges/{first.json()['id']}/undo"
    first, again = [
        await world.client.request("POST", path, json=BODY, headers=headers) for _ in range(2)
    ]
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


async def test_merges_come_in_pages_the_latest_first(world: World) -> None:
    people = [world.event(i) for i in (U1, A1, A2, A3)]
    await world.post(*people)
    ids = [p.subject_id for p in people]
    done = [(await merge(world, ids[0], each))["id"] for each in ids[1:]]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await world.get(f"/profiles/{ids[2]}/merges", limit=2, **cursor)
        seen += [m["id"] for m in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(done)
    far = encode_cursor(2**63 - 1, str(uuid4()))
    assert len((await world.get(f"/profiles/{ids[0]}/merges", cursor=far))["items"]) == 3
    answer = await world.call("GET", f"/api/v1/profiles/{ids[0]}/merges?cursor=WzEsIngiXQ")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/query/cursor")


async def test_the_graph_shows_who_came_with_what_and_what_was_refused(world: World) -> None:
    one, other = await two_known(world)
    await world.post(world.event(U2, A1))
    answer = await merge(world, one, other)
    graph = await world.get(f"/profiles/{other}/graph")
    assert graph["profiles"] == [{"id": one, "living": True}, {"id": other, "living": False}]
    assert {(i["value"], i["profile_id"]) for i in graph["identifiers"]} == {
        ("u1", one),
        ("a1", one),
        ("u2", other),
        ("a2", other),
    }
    edge = {"merge_id": answer["id"], "survivor_id": one, "merged_id": other}
    assert graph["merges"] == [edge]
    [conflict] = graph["conflicts"]
    assert (conflict["value"], conflict["profile_id"], conflict["other_id"]) == ("a1", other, one)
