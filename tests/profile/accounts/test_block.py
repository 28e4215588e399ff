"""Accounts through merges of people and through other ways of cutting the log into blocks."""

from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.events import Event
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.profile.accounts import block
from services.profile.main import create_app
from tests.profile.accounts.support import GOLD, group, id_of, members, segment, told, user
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

ANONYMOUS = ("anonymous_id", "a1")


def anonymous_group(world: World, account: str, *roles: str, at: int = 10) -> Event:
    context = {"account": {"role": list(roles)}}
    return world.event(ANONYMOUS, type="group", group_id=account, context=context, at=at)


async def test_a_merged_persons_accounts_and_roles_are_the_survivors(world: World) -> None:
    known = group(world, 1, role="buyer", at=20)
    await world.post(known, group(world, 2, role="user"))
    await world.post(anonymous_group(world, "acme", "user"), anonymous_group(world, "beta"))
    changes = await world.post(world.event(user(1), ANONYMOUS))
    assert told(changes, "account.member_changed") == []
    assert (await members(world))[known.subject_id] == ["buyer", "user"]
    assert len(await members(world)) == 2
    assert list(await members(world, "beta")) == [known.subject_id]
    accounts = (await world.get(f"/profiles/{known.subject_id}/accounts"))["items"]
    assert [(a["group_id"], a["primary"]) for a in accounts] == [("acme", True), ("beta", False)]
    assert accounts[0]["since"] == "1970-01-01T00:00:00.010000Z"


async def test_a_merge_brings_the_survivor_into_what_the_account_means(world: World) -> None:
    await segment(world, GOLD)
    gold = world.event(ANONYMOUS, type="group", group_id="acme", traits={"tier": "gold"})
    known = world.event(user(1), type="identify")
    await world.post(gold, known)
    merged = await world.post(world.event(user(1), ANONYMOUS))
    assert [c.type for c in merged if c.type.startswith("segment.")] == []
    left = await world.post(group(world, 1, tier="silver", at=gold.occurred_at + 1))
    assert [c.profile_id for c in left if c.type == "segment.exited"] == [known.subject_id]


async def test_people_merged_by_hand_hand_over_their_accounts(
    world: World, profile_database: Database
) -> None:
    winner, loser = group(world, 1, role="buyer"), group(world, 2, role="user")
    await world.post(winner, loser, group(world, 2, "beta"))
    engine = create_async_engine(profile_database.app_dsn)
    became = {loser.subject_id: winner.subject_id}
    async with workspace_tx(create_sessionmaker(engine), world.workspace_id) as session:
        grouped = await block.inherit(session, world.workspace_id, became)
    await engine.dispose()
    assert grouped.people == {winner.subject_id}
    assert grouped.accounts == {id_of(world), id_of(world, "beta")}
    assert await members(world) == {winner.subject_id: ["buyer", "user"]}
    assert list(await members(world, "beta")) == [winner.subject_id]


async def test_the_log_read_in_other_blocks_gives_equal_accounts(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock
) -> None:
    workspace_id = uuid4()
    made = World(httpx2.AsyncClient(), tracking, workspace_id)
    log = [
        anonymous_group(made, "acme", "user", at=5),
        group(made, 1, role="buyer", tier="gold", at=6),
        anonymous_group(made, "beta", "champion", at=7),
        made.event(user(1), ANONYMOUS, at=8),
        group(made, 1, role="decider", tier="silver", seats=3, at=5),
        anonymous_group(made, "beta", at=7),
        group(made, 2, "beta", tier="gold", at=7),
        made.event(user(2), ANONYMOUS, at=2),
    ]
    for event in log:
        tracking.append(workspace_id, event)
    states = []
    for size in (1, 3, len(log)):
        home = database("profile")
        how = settings(home, tracking).model_copy(update={"block_rows": size})
        async with running(create_app(how, clock)) as client:
            world = World(client, tracking, workspace_id)
            await world.until(lambda c: c.data.get("message_id") == log[-1].message_id)
        engine = create_async_engine(home.owner_dsn)
        async with engine.connect() as connection:
            rows = [
                (await connection.execute(text(f"SELECT * FROM {table} ORDER BY {key}"))).all()  # noqa: S608
                for table, key in (
                    ("account", "account_id"),
                    ("account_member", "account_id, profile_id"),
                )
            ]
        await engine.dispose()
        states.append(rows)
    assert states[0] == states[1] == states[2]
    acme = {row.group_id: row.traits for row in states[0][0]}
    assert acme == {"acme": {"tier": "gold", "seats": 3}, "beta": {"tier": "gold"}}
    assert sorted(row.roles for row in states[0][1]) == [[], [], ["buyer", "user"]]
