"""People looked up by an identifier, many at a time."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.profile import Profile
from services.kit.postgres import create_sessionmaker
from services.profile.clock import SystemClock
from services.profile.identity.nodes import Identifier
from services.profile.identity_policy.cache import Policies
from services.profile.lookup.lookups import MAX_TOGETHER, Answers, Lookups, UnknownNamespace
from tests.profile.conftest import World
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

PATH = "/api/v1/profiles"
NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"


class Counted(Lookups):
    """Notes how many were answered by each read."""

    def __init__(self, dsn: str) -> None:
        self.engine = create_async_engine(dsn)
        super().__init__(create_sessionmaker(self.engine), Policies(), SystemClock())
        self.reads: list[int] = []

    async def _read(self, workspace_id: UUID, names: list[Identifier]) -> Answers:
        self.reads.append(len(names))
        return await super()._read(workspace_id, names)


@pytest.fixture
async def lookups(profile_database: Database) -> AsyncIterator[Counted]:
    made = Counted(profile_database.app_dsn)
    yield made
    await made.engine.dispose()


@pytest.mark.parametrize(
    ("namespace", "value", "found"),
    [
        ("user_id", "u1", True),
        ("email", " Ada@X.org", True),
        ("user_id", "nobody", False),
        ("user_id", "", False),
        ("email", "no address", False),
        ("user_id", "\x00", False),
        ("user_id", "%zz\U0001f600&=+", False),
    ],
)
async def test_the_plain_lookup_says_what_the_documented_route_says(
    world: World, namespace: str, value: str, found: bool
) -> None:
    named = (("user_id", "u1"), ("email", "ada@x.org"))
    await world.post(world.event(*named, type="identify", traits={"plan": "pro", "n": [1.5, None]}))
    asked = {"namespace": namespace, "value": value}
    plain = await world.client.get(PATH, params=asked, headers=world.user)
    routed = await world.client.get(PATH, params=asked | {"limit": "50"}, headers=world.user)
    assert plain.status_code == routed.status_code == 200
    assert plain.json() == routed.json()
    assert bool(plain.json()["items"]) is found
    assert plain.headers["content-type"] == routed.headers["content-type"]
    assert plain.headers["x-request-id"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("namespace=nope&value=1", 422),
        ("namespace=user_id", 422),
        ("namespace=user_id&value=u1&value=u2", 200),
        ("namespace=user_id&value=u1&nonsense=1", 422),
        ("namespace=user_id&value=u1&reveal=sensitive", 403),
        (f"namespace=user_id&value={'x' * 1001}", 422),
        (f"namespace={'x' * 101}&value=u1", 422),
    ],
)
async def test_what_is_not_plain_is_answered_by_the_documented_route(
    world: World, query: str, status: int
) -> None:
    answer = await world.client.get(f"{PATH}?{query}", headers=world.user)
    assert answer.status_code == status, answer.text
    assert (await world.client.get(f"{PATH}?{query}")).status_code == 401


async def test_those_that_come_together_are_read_together(world: World, lookups: Counted) -> None:
    posted = [world.event(("user_id", f"u{n}")) for n in range(50)]
    await world.post(*posted)
    count = MAX_TOGETHER + 100
    found = await asyncio.gather(
        *(lookups.find(world.workspace_id, "user_id", f"u{n % 60}") for n in range(count))
    )
    assert [each and each.user_id for each in found] == [
        f"u{n % 60}" if n % 60 < 50 else None for n in range(count)
    ]
    assert lookups.reads == [1, MAX_TOGETHER, 99]


async def test_workspaces_are_read_apart(world: World, lookups: Counted) -> None:
    await world.post(world.event(("user_id", "u1")))
    ours, theirs = await asyncio.gather(
        lookups.find(world.workspace_id, "user_id", "u1"),
        lookups.find(UUID(int=1), "user_id", "u1"),
    )
    assert ours is not None
    assert theirs is None


async def test_one_that_cannot_be_asked_or_went_away_costs_no_other(
    world: World, lookups: Counted
) -> None:
    await world.post(world.event(("user_id", "u1")))
    asked = [
        asyncio.create_task(lookups.find(world.workspace_id, namespace, "u1"))
        for namespace in ("user_id", "user_id", "nope", "user_id")
    ]
    await asyncio.sleep(0)
    asked[0].cancel()
    asked[1].cancel()
    _, gone, unknown, good = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(unknown, UnknownNamespace)
    assert isinstance(good, Profile)


async def test_a_read_that_fails_is_the_failure_of_each_and_the_next_is_tried_anew(
    world: World, lookups: Counted
) -> None:
    away = Counted(NOWHERE)
    failed = await asyncio.gather(
        *(away.find(world.workspace_id, "user_id", "u1") for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(each, OSError) for each in failed)
    assert away.reads == [1, 2]
    away._maker = lookups._maker
    assert await away.find(world.workspace_id, "user_id", "u1") is None
