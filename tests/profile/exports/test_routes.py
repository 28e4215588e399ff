"""A copy of a person's data: complete, nobody else's, and gone when its time is over."""

import asyncio
import io
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.profile.clock import to_ms
from services.profile.erasure.personal import Person
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.erasure.neighbours import Neighbours
from tests.profile.erasure.planted import plant
from tests.support.app import user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

ADA, PHONE = ("user_id", "ada"), ("anonymous_id", "adas-phone")


async def export(world: World, profile_id: str) -> dict[str, Any]:
    answer = await world.call("POST", f"/api/v1/profiles/{profile_id}/export")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def ready(world: World, export_id: str) -> dict[str, str]:
    """The files of the bundle by name, once it is there."""
    async with asyncio.timeout(60):
        while (found := await world.get(f"/profile-exports/{export_id}"))["state"] != "ready":
            await world.feed(wait=0.05)
    answer = await world.call("GET", f"/api/v1/profile-exports/{export_id}/file")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) == found["size_bytes"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


async def test_what_every_table_holds_of_the_person_is_in_the_bundle(
    world: World, profile_database: Database, neighbours: Neighbours
) -> None:
    first = world.event(PHONE)
    await world.post(first, world.event(ADA))
    last = world.event(ADA, PHONE)
    await world.post(last)
    ids = [UUID(last.subject_id), UUID(first.subject_id)]
    odd = world.event(ADA, name=f"marker-{uuid4()}")
    ada = Person(ids, ids, [ADA, PHONE])
    markers = await plant(profile_database, world.workspace_id, ada, odd)
    neighbours.events = b"event\n" + b"Viewed\n" * 100_000
    neighbours.rows = {"message": [{"contact": "ada@example.com"}], "entry": []}
    asked = await export(world, first.subject_id)
    files = await ready(world, asked["id"])
    for table, marker in markers.items():
        if not table.startswith("profile_export"):
            assert marker in files[f"profile/{table}.json"], table
    assert files["events.csv"].encode() == neighbours.events
    assert "ada@example.com" in files["journeys/message.json"]
    [request] = neighbours.exports
    assert set(request.profile_ids) == set(ids)


async def test_nobody_elses_data_is_in_the_bundle(world: World) -> None:
    ada, bob = world.event(ADA), world.event(("user_id", "bob-the-other"))
    await world.post(ada, bob)
    files = await ready(world, (await export(world, ada.subject_id))["id"])
    assert "bob-the-other" not in "".join(files.values())
    assert bob.subject_id not in "".join(files.values())


async def test_only_its_workspace_reads_it_and_only_when_it_is_ready(
    world: World, neighbours: Neighbours
) -> None:
    ada = world.event(ADA)
    await world.post(ada)
    neighbours.away.add("orchestrator")
    asked = await export(world, ada.subject_id)
    assert (await export(world, ada.subject_id))["id"] == asked["id"]
    path = f"/api/v1/profile-exports/{asked['id']}"
    early = await world.call("GET", f"{path}/file")
    assert (early.status_code, early.json()["type"]) == (409, "/problems/profile-export-not-ready")
    foreign = user_headers("profile", uuid4())
    for each in (path, f"{path}/file"):
        answer = await world.client.get(each, headers=foreign)
        assert answer.json()["type"] == "/problems/profile-export-not-found"
    assert (await world.call("POST", f"/api/v1/profiles/{uuid4()}/export")).status_code == 404
    neighbours.away.clear()
    await ready(world, asked["id"])


async def test_the_file_goes_after_seven_days_and_when_the_person_is_erased(
    world: World, clock: FakeClock
) -> None:
    ada, bob = world.event(ADA), world.event(("user_id", "bob"))
    await world.post(ada, bob)
    old = await export(world, ada.subject_id)
    await ready(world, old["id"])
    clock.advance(timedelta(days=8))
    # Whatever wakes the exporter makes it look.
    new = await export(world, bob.subject_id)
    await ready(world, new["id"])
    gone = await world.call("GET", f"/api/v1/profile-exports/{old['id']}")
    assert gone.status_code == 404
    await world.post(world.event(("user_id", "bob"), at=to_ms(clock.now())))
    path = f"/api/v1/profiles/{bob.subject_id}/erase"
    assert (await world.call("POST", path, {"reason": "requested"})).status_code == 202
    for each in ("", "/file"):
        answer = await world.call("GET", f"/api/v1/profile-exports/{new['id']}{each}")
        assert answer.status_code == 404
