"""Erasing one person: nothing that tells of them stays, and figures stay what they were."""

from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.changes import Change
from services.contracts.events import Outcome
from services.kit.feeds import unpack
from services.orchestrator.engine import position_store
from services.orchestrator.erasure.store import IMPERSONAL, PERSONAL
from services.orchestrator.tables import Table
from tests.orchestrator.conftest import World
from tests.support.app import service_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

MARKER = "marker-6f1d0c2e"
ADDRESS = "ada@marker-6f1d0c2e.example"


async def call(world: World, path: str, **body: Any) -> httpx2.Response:
    headers = service_headers("profile", "orchestrator", world.workspace_id)
    return await world.client.post(f"/internal/v1{path}", json=body, headers=headers)


async def erase(world: World, person: UUID, position: int = 0) -> httpx2.Response:
    ids, contacts = [str(person)], [ADDRESS]
    return await call(world, "/erase", profile_ids=ids, contacts=contacts, position=position)


async def everything(database: Database) -> str:
    engine = create_async_engine(database.owner_dsn)
    found = []
    async with engine.connect() as connection:
        for name in Table.metadata.tables:
            rows = await connection.execute(text(f'SELECT t::text FROM "{name}" t'))  # noqa: S608
            found += [row[0] for row in rows]
        for (data,) in await connection.execute(text("SELECT data FROM outbox")):
            found += [str(outcome) for outcome in unpack(data, Outcome)]
    await engine.dispose()
    return "\n".join(found)


async def planted(world: World) -> tuple[UUID, str]:
    """Somebody in a journey, with a message sent and outcomes that tracking was not told of."""
    person = world.person(traits={"first_name": MARKER}, identifiers={"email": [ADDRESS]})
    journey_id = await world.publish(await world.mail_graph())
    world.feed(world.event(person, "Viewed", offer_id=MARKER))
    await world.follow()
    await world.execute()
    await world.send()
    return person, journey_id


def test_every_table_is_listed_as_personal_or_not() -> None:
    assert {row.__tablename__ for row in (*PERSONAL, *IMPERSONAL)} == set(Table.metadata.tables)


async def test_nothing_of_the_person_is_left(world: World, orchestrator_database: Database) -> None:
    person, journey_id = await planted(world)
    before = await world.get(f"/journeys/{journey_id}/stats")
    held = await everything(orchestrator_database)
    assert MARKER in held
    assert str(person) in held
    world.feed(Change("profile.erased", str(person), world.clock.now))
    await world.follow()
    answer = await erase(world, person)
    assert answer.status_code == 200, answer.text
    lines = {line["store"]: (line["erased"], line["left"]) for line in answer.json()["stores"]}
    assert lines["participant"] == (1, 0)
    assert lines["message"] == (1, 0)
    assert lines["entry"] == (1, 0)
    assert lines["outbox"][0] >= 1
    assert {left for _, left in lines.values()} == {0}
    left = await everything(orchestrator_database)
    assert MARKER not in left
    assert str(person) not in left
    assert await world.get(f"/journeys/{journey_id}/stats") == before
    again = (await erase(world, person)).json()["stores"]
    assert {line["erased"] for line in again} == {0}
    assert (await call(world, "/compact")).json() == {"compacted": True}


async def test_it_waits_for_the_feed_and_for_answers_that_are_awaited(
    world: World, orchestrator_database: Database
) -> None:
    person, _ = await planted(world)
    async with world.engine.maker() as session:
        await session.execute(
            text("SELECT set_config('app.workspace_id', :w, true)"), {"w": str(world.workspace_id)}
        )
        position = await position_store.position(session, world.workspace_id)
        await session.execute(text("UPDATE message SET state = 'handed_over'"))
        await session.commit()
    late = await erase(world, person, position + 1)
    assert (late.status_code, late.json()["type"]) == (503, "/problems/unavailable")
    assert (await erase(world, person, position)).status_code == 503
    assert MARKER in await everything(orchestrator_database)


async def test_what_waits_to_be_sent_is_not(world: World) -> None:
    person = world.person(traits={"first_name": MARKER}, identifiers={"email": [ADDRESS]})
    await world.publish(await world.mail_graph())
    world.feed(world.event(person, "Viewed", offer_id="o"))
    await world.follow()
    await world.execute()
    assert (await erase(world, person)).status_code == 200
    await world.send()
    assert world.mailbox.messages == []
    [message] = await world.messages()
    assert (message["state"], message["reason"], message["contact"]) == ("skipped", "erased", None)


async def test_other_people_and_other_workspaces_stay(
    world: World, orchestrator_database: Database
) -> None:
    person, _ = await planted(world)
    other = service_headers("profile", "orchestrator", uuid4())
    body = {"profile_ids": [str(person)], "contacts": [ADDRESS], "position": 0}
    await world.client.post("/internal/v1/erase", json=body, headers=other)
    await erase(world, uuid4())
    # The second call named the address as well, which is not only in one workspace.
    assert str(person) in await everything(orchestrator_database)


async def test_an_export_holds_what_every_table_holds(world: World) -> None:
    person, _ = await planted(world)
    answer = await call(world, "/export", profile_ids=[str(person)], contacts=[ADDRESS])
    assert answer.status_code == 200, answer.text
    tables = answer.json()
    assert set(tables) == {row.__tablename__ for row in PERSONAL}
    assert tables["participant"][0]["trigger"]["properties"]["offer_id"] == MARKER
    assert MARKER in tables["message"][0]["content"]["text"]
    assert tables["entry"]
    assert tables["send_gate"]
    assert tables["outbox"]
