"""Erasing one person: nothing of them stays in profile, and everybody else keeps their place."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.contracts.changes import Change
from services.profile.clock import to_ms
from services.profile.erasure import personal
from services.profile.erasure.personal import PERSONAL, Person
from services.profile.tables import Table
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.erasure.neighbours import Neighbours
from tests.profile.erasure.planted import everything, plant
from tests.support.app import user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

ADA, PHONE = ("user_id", "ada"), ("anonymous_id", "adas-phone")
EMAIL = ("email", "ada@example.com")


async def erase(world: World, profile_id: str, reason: str = "requested") -> dict[str, Any]:
    answer = await world.call("POST", f"/api/v1/profiles/{profile_id}/erase", {"reason": reason})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def finished(world: World, erasure_id: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            found = dict(await world.get(f"/erasures/{erasure_id}"))
            if found["state"] == "finished":
                return found
            await world.feed(wait=0.05)


async def known(world: World) -> Person:
    """Ada, who was two people until her phone was known to be hers."""
    first = world.event(PHONE)
    last = world.event(ADA, EMAIL, PHONE, type="identify", traits={"name": "Ada Lovelace"})
    await world.post(first, world.event(ADA))
    await world.post(last)
    return Person(
        [UUID(last.subject_id), UUID(first.subject_id)],
        [UUID(last.subject_id)],
        [ADA, EMAIL, PHONE],
    )


def test_every_table_is_listed_as_personal_or_not() -> None:
    held = [each.row for each in PERSONAL]
    listed = [*held, *personal.PACKED, *personal.IMPERSONAL]
    assert {str(row.__tablename__) for row in listed} == set(Table.metadata.tables)
    assert len(set(listed)) == len(listed)
    for name, table in Table.metadata.tables.items():
        ids = {c.name for c in table.columns if c.name.endswith(("profile_id", "alias_id"))}
        of = {column.key for each in PERSONAL if each.table == name for column in each.ids}
        assert ids <= of, name


async def test_nothing_of_the_person_is_left_in_any_table_or_packed_row(
    world: World, profile_database: Database, neighbours: Neighbours
) -> None:
    ada = await known(world)
    await world.post(world.event(("user_id", "bob"), message_id="b1"))
    odd = world.event(ADA, name=f"marker-{uuid4().hex}")
    markers = await plant(profile_database, world.workspace_id, ada, odd)
    held = await everything(profile_database)
    assert [name for name, marker in markers.items() if marker not in held] == []
    erasure = await erase(world, str(ada.profile_ids[0]))
    certificate = await finished(world, erasure["id"])
    left = await everything(profile_database)
    assert [name for name, marker in markers.items() if marker in left] == []
    for secret in ("Ada Lovelace", "ada@example.com", "adas-phone"):
        assert secret in held
        assert secret not in left
    lines = {(line["service"], line["store"]): line for line in certificate["stores"]}
    for table in (*markers, "consent", "feed", "quarantine"):
        assert lines["profile", table]["erased"] >= 1, table
        assert lines["profile", table]["left"] == 0
    assert lines["tracking", "log"]["erased"] == 3
    assert lines["orchestrator", "message"]["erased"] == 2
    assert {line["state"] for line in certificate["stores"]} == {"done"}
    assert certificate["verified"] is True
    bob = await world.get("/profiles", namespace="user_id", value="bob")
    assert len(bob["items"]) == 1
    [asked] = neighbours.asked
    assert set(asked.subject_ids) >= set(ada.profile_ids)


async def test_the_feed_keeps_the_places_of_everybody_else(world: World) -> None:
    ada, bob = world.event(ADA, EMAIL), ("user_id", "bob")
    await world.post(world.event(bob, message_id="b1"), ada, world.event(bob, message_id="b2"))
    before = await world.get("/changes", limit=1000)
    erasure = await erase(world, ada.subject_id)
    await finished(world, erasure["id"])
    after = await world.get("/changes", limit=1000)
    [told] = [c for c in after["items"] if c["type"] == "profile.erased"]
    assert told["profile_id"] == ada.subject_id
    assert ada.subject_id in told["data"]["subject_ids"]
    others = [c for c in before["items"] if c["profile_id"] != ada.subject_id]
    assert [c for c in after["items"] if c["type"] != "profile.erased"] == others
    assert len(others) < len(before["items"])
    world.offset = 0
    read = [c for row in await world.feed() for c in row.entries(Change)]
    assert {c.profile_id for c in read if c.type == "event"} == {others[0]["profile_id"]}


async def test_asking_again_answers_with_the_same_erasure(world: World) -> None:
    ada = await known(world)
    one = await erase(world, str(ada.profile_ids[0]))
    again = [(await erase(world, str(each)))["id"] for each in ada.profile_ids]
    assert again == [one["id"]] * 2
    await finished(world, one["id"])
    last = await erase(world, str(ada.profile_ids[1]), "other")
    assert (last["id"], last["state"], last["reason"]) == (one["id"], "finished", "requested")
    assert [e["id"] for e in (await world.get("/erasures"))["items"]] == [one["id"]]
    assert (await world.call("GET", f"/api/v1/profiles/{ada.profile_ids[0]}")).status_code == 404


async def test_unknown_people_and_other_workspaces_are_not_erased(world: World) -> None:
    ada = await known(world)
    path = f"/api/v1/profiles/{ada.profile_ids[0]}/erase"
    foreign = user_headers("profile", uuid4())
    answer = await world.client.post(path, json={"reason": "requested"}, headers=foreign)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/profile-not-found")
    unknown = f"/api/v1/profiles/{uuid4()}/erase"
    assert (await world.call("POST", unknown, {"reason": "requested"})).status_code == 404
    assert (await world.call("POST", path, {"reason": "Ada asked"})).status_code == 422
    assert (await world.call("GET", f"/api/v1/profiles/{ada.profile_ids[0]}")).status_code == 200
    erasure = await erase(world, str(ada.profile_ids[0]))
    answer = await world.client.get(f"/api/v1/erasures/{erasure['id']}", headers=foreign)
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/erasure-not-found")


async def test_erasures_are_paged(world: World) -> None:
    ids = []
    for name in ("a", "b", "c"):
        each = world.event(("user_id", name))
        await world.post(each)
        ids.append((await erase(world, each.subject_id))["id"])
    first = await world.get("/erasures", limit=2)
    rest = await world.get("/erasures", limit=2, cursor=first["next_cursor"])
    assert [e["id"] for e in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


async def test_a_service_that_is_away_is_pending_until_it_answers(
    world: World, neighbours: Neighbours
) -> None:
    ada = await known(world)
    neighbours.away |= {"tracking", "orchestrator"}
    erasure = await erase(world, str(ada.profile_ids[0]))
    pending = {(e["service"], e["store"]) for e in erasure["stores"] if e["state"] == "pending"}
    assert {("tracking", "all"), ("orchestrator", "all")} < pending
    neighbours.away.clear()
    certificate = await finished(world, erasure["id"])
    assert ("tracking", "all") not in {(e["service"], e["store"]) for e in certificate["stores"]}


async def test_proof_of_consent_stays_for_six_months_without_the_person(
    world: World, clock: FakeClock
) -> None:
    said = {"consent": {"categoryPreferences": {"marketing": True}}}
    ada = world.event(ADA, context=said)
    await world.post(ada)
    erasure = await erase(world, ada.subject_id)
    certificate = await finished(world, erasure["id"])
    [proof] = certificate["consents"]
    assert (proof["purpose"], proof["state"], proof["source_id"]) == (
        "marketing",
        "granted",
        "source",
    )
    clock.advance(timedelta(days=185))
    # Whatever wakes the eraser makes it look.
    bob = world.event(("user_id", "bob"), at=to_ms(clock.now()))
    await world.post(bob)
    await finished(world, (await erase(world, bob.subject_id))["id"])
    assert (await world.get(f"/erasures/{erasure['id']}"))["consents"] == []
