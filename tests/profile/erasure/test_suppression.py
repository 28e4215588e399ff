"""Erased people do not come back, and whoever signs up again does."""

import random
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine

from services.identifiers import subject_id
from services.kit.ids import uuid7
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.kit.seal import Seal
from services.profile.clock import to_ms
from services.profile.erasure import suppression
from services.profile.erasure.personal import Person
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.erasure.neighbours import Neighbours
from tests.profile.erasure.test_routes import erase
from tests.profile.tracking import event
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

ADA, EMAIL, PHONE = ("user_id", "ada"), ("email", "ada@example.com"), ("anonymous_id", "an-1")
BOB = ("user_id", "bob")


async def found(world: World, named: tuple[str, str]) -> list[Any]:
    page = await world.get("/profiles", namespace=named[0], value=named[1])
    return list(page["items"])


async def erased(world: World) -> UUID:
    ada = world.event(ADA, EMAIL, PHONE)
    await world.post(ada)
    await erase(world, ada.subject_id)
    return UUID(ada.subject_id)


async def test_whatever_names_the_person_again_is_left_out(world: World) -> None:
    first = world.event(ADA, EMAIL, PHONE)
    await world.post(first)
    await erase(world, first.subject_id)
    late = [
        world.event(ADA, EMAIL, PHONE),
        world.event(EMAIL),
        world.event(PHONE),
        world.event(("user_id", "new"), EMAIL, type="identify", traits={"email": EMAIL[1]}),
        first,
    ]
    changes = await world.post(*late, world.event(BOB, PHONE, message_id="b1"))
    told = [change.data["message_id"] for change in changes if change.type == "event"]
    assert told[-1] == "b1"
    assert set(told).isdisjoint({each.message_id for each in late[:4]})
    for named in (ADA, EMAIL, ("user_id", "new")):
        assert await found(world, named) == []
    # The device is somebody else's now, who came with a better name of their own.
    [bob] = await found(world, PHONE)
    assert bob["user_id"] == "bob"


async def test_who_signs_up_again_is_taken_from_then_on(
    world: World, clock: FakeClock, neighbours: Neighbours
) -> None:
    await erased(world)
    named = [{"namespace": n, "value": v} for n, v in (ADA, EMAIL)]
    answer = await world.call("POST", "/api/v1/suppressions/lift", {"identifiers": named})
    assert answer.json() == {"lifted": 2}
    assert neighbours.lifted == [subject_id(world.workspace_id, *each) for each in (ADA, EMAIL)]
    old = world.event(ADA, EMAIL)
    new = world.event(ADA, at=to_ms(clock.now()) + 1, traits={"plan": "pro"}, type="identify")
    changes = await world.post(old, new)
    assert [c.data["message_id"] for c in changes if c.type == "event"] == [new.message_id]
    [ada] = await found(world, ADA)
    assert ada["traits"] == {"plan": "pro"}
    again = await erase(world, ada["id"])
    assert again["id"] != (await world.get("/erasures"))["items"][-1]["id"]
    bad = [{"namespace": "email", "value": "nobody"}]
    answer = await world.call("POST", "/api/v1/suppressions/lift", {"identifiers": bad})
    assert answer.json()["errors"][0]["pointer"] == "#/identifiers/0/value"


async def test_nobody_comes_back_in_a_thousand_trials(profile_database: Database) -> None:
    """Random people with random names, erased; then random events that name some of them."""
    dice = random.Random(7)  # noqa: S311 - it replays
    workspace_id = uuid7()
    seal = Seal(SecretStr("a key of this test run").get_secret_value(), Person)
    engine = create_async_engine(profile_database.app_dsn)
    maker = create_sessionmaker(engine)

    def names(number: int) -> list[tuple[str, str]]:
        return [("user_id", f"u{number}"), ("email", f"p{number}@x.org"), ("phone", f"+{number}")]

    people = [names(number) for number in range(200)]
    gone = {named for each in people[:100] for named in each}
    async with workspace_tx(maker, workspace_id) as session:
        subjects = [subject_id(workspace_id, *named) for named in gone]
        at = FakeClock().now()
        await suppression.add(session, seal, workspace_id, uuid7(), subjects, at)
    trials = []
    for _ in range(1000):
        person = dice.choice(people)
        named = sorted(dice.sample(person, dice.randint(1, 3)), key=person.index)
        fresh = [("user_id", f"fresh{dice.random()}")] if named[0][0] != "user_id" else []
        trials.append(event(workspace_id, *fresh, *named, at=dice.randint(1, 2_000_000_000_000)))
    async with workspace_tx(maker, workspace_id) as session:
        dropped = await suppression.suppressed(session, seal, workspace_id, trials)
    await engine.dispose()
    expected = {index for index, each in enumerate(trials) if not gone.isdisjoint(each.identifiers)}
    assert dropped == expected
    assert 400 < len(expected) < 600
