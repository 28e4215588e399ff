"""Accounts through merges of people and through other ways of cutting the log into blocks."""

from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.events import Event
from services.profile.main import create_app
from tests.profile.accounts.support import GOLD, group, id_of, members, segment, told, user
from tests.profile.clock import FakeClock
from tests.profile.conftest import World, settings
from tests.profile.merges.test_routes import merge, undo
from tests.profile.tracking import FakeTracking
from tests.support.app import running
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio

MEMBER = "account.member_changed"
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


async def test_people_merged_by_hand_hand_over_their_accounts(world: World) -> None:
    winner, loser = group(world, 1, role="buyer"), group(world, 2, role="user")
    await world.post(winner, loser, group(world, 2, "beta"))
    await merge(world, winner.subject_id, loser.subject_id)
    assert await members(world) == {winner.subject_id: ["buyer", "user"]}
    assert list(await members(world, "beta")) == [winner.subject_id]


@pytest.mark.parametrize("by_hand", [True, False])
async def test_an_undone_merge_gives_accounts_and_roles_back(world: World, by_hand: bool) -> None:
    """Acme is both people's, beta the one's, gamma the other's, delta came with both as one."""
    known = group(world, 1, role="buyer")
    other = anonymous_group(world, "acme", "user")
    gold = group(world, 1, "beta", tier="gold", at=5)
    await segment(world, GOLD)
    await world.post(known, gold, other, anonymous_group(world, "gamma", "admin", at=11))
    ids = [known.subject_id, other.subject_id]
    if by_hand:
        await merge(world, *ids)
    else:
        await world.post(world.event(user(1), ANONYMOUS))
    await world.post(group(world, 1, "delta"))
    assert (await members(world))[ids[0]] == ["buyer", "user"]
    (made,) = (await world.get(f"/profiles/{ids[0]}/merges"))["items"]
    await undo(world, made["id"])
    changes = await world.until(lambda c: c.type == "account.member_changed")
    assert await members(world) == {ids[0]: ["buyer"], ids[1]: ["user"]}
    assert await members(world, "beta") == {ids[0]: []}
    assert await members(world, "gamma") == {ids[1]: ["admin"]}
    assert await members(world, "delta") == {ids[0]: []}
    after = changes[[c.type for c in changes].index("profile.unmerged") :]
    shown = [(p, d["account_id"], d["member"], d["roles"]) for p, d in told(after, MEMBER)]
    assert sorted(shown) == sorted(
        [
            (ids[0], id_of(world), True, ["buyer"]),
            (ids[0], id_of(world, "gamma"), False, []),
            (ids[1], id_of(world), True, ["user"]),
            (ids[1], id_of(world, "gamma"), True, ["admin"]),
        ]
    )


async def test_who_was_taken_out_of_an_account_since_is_not_in_it_on_either_side(
    world: World,
) -> None:
    one, other = group(world, 1, role="buyer"), group(world, 2, role="user")
    await world.post(one, other)
    made = await merge(world, one.subject_id, other.subject_id)
    path = f"/api/v1/accounts/{id_of(world)}/members/{one.subject_id}"
    assert (await world.call("DELETE", path)).status_code == 204
    await undo(world, made["id"])
    assert await members(world) == {}


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
