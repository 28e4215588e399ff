"""Erasures that are killed at every moment, and what is left of them in files."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit import compaction
from services.kit.auth import TokenSigner
from services.kit.feeds import Bell
from services.kit.http import ServiceClient
from services.kit.postgres import create_sessionmaker
from services.kit.seal import Seal
from services.profile.erasure import packed, steps, store
from services.profile.erasure.personal import Person
from services.profile.erasure.steps import Resources
from services.profile.erasure.worker import Eraser
from tests.profile.clock import FakeClock
from tests.profile.conftest import World
from tests.profile.erasure.test_routes import ADA, EMAIL, erase, finished
from tests.profile.tracking import FakeTracking
from tests.support.app import signing_key
from tests.support.postgres import Database, DatabaseServer

pytestmark = pytest.mark.anyio


class Killed(Exception):
    """The process is gone."""


@pytest.fixture
async def resources(profile_database: Database, tracking: FakeTracking) -> AsyncIterator[Resources]:
    engine = create_async_engine(profile_database.app_dsn)
    signer = TokenSigner("profile", signing_key("profile"))
    clients = [ServiceClient(name, tracking.url, signer) for name in ("tracking", "orchestrator")]
    seal = Seal(SecretStr("a key of this test run").get_secret_value(), Person)
    yield Resources(create_sessionmaker(engine), seal, clients[0], clients[1], FakeClock())
    for client in clients:
        await client.close()
    await engine.dispose()


_FRAGILE = (
    (packed, "rewrite_feed"),
    (compaction, "compact"),
    (store, "compacted"),
    (store, "left"),
    (steps, "_call"),
)


def _killed_often(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of each that changes something the first call fails before it has happened, and the second
    when it has."""
    kills: list[str] = []

    def fragile(module: Any, name: str) -> None:
        whole: Callable[..., Awaitable[Any]] = getattr(module, name)

        async def call(*arguments: Any, **values: Any) -> Any:
            if kills.count(name) == 0:
                kills.append(name)
                raise Killed
            answer = await whole(*arguments, **values)
            if kills.count(name) == 1:
                kills.append(name)
                raise Killed
            return answer

        monkeypatch.setattr(module, name, call)

    for module, name in _FRAGILE:
        fragile(module, name)
    return kills


@pytest.fixture
def nobody_erases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own eraser does nothing."""

    async def idle(_: Eraser) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Eraser, "run", idle)


async def test_an_erasure_that_is_killed_again_and_again_ends_as_any_other(
    nobody_erases: None,
    world: World,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "COMPACTED", ("feed", "identifier"))
    monkeypatch.setattr(packed, "PORTION_ROWS", 2)
    for _ in range(5):
        await world.post(world.event(ADA, EMAIL), world.event(("user_id", "bob")))
    erasure = await erase(world, world.seen[0].profile_id)
    kills = _killed_often(monkeypatch)
    left = 1
    while left:
        try:
            left = await Eraser(resources, Bell(), rest_seconds=0).advance()
        except Killed:
            # What the process knew is gone with it.
            continue
    certificate = await world.get(f"/erasures/{erasure['id']}")
    assert (certificate["state"], certificate["verified"]) == ("finished", True)
    lines = {(line["service"], line["store"]): line for line in certificate["stores"]}
    told = [c for c in world.seen if c.profile_id == world.seen[0].profile_id]
    assert lines["profile", "feed"]["erased"] == len(told)
    assert lines["profile", "identifier"]["erased"] == 2
    assert len(kills) == 2 * len(_FRAGILE)


async def test_the_bytes_leave_the_files(world: World, postgres: DatabaseServer) -> None:
    marker = "marker-that-lies-in-a-file"
    ada = world.event(("user_id", marker), type="identify", traits={"name": marker})
    await world.post(ada)
    assert _files_with(postgres, marker)
    erasure = await erase(world, ada.subject_id)
    await finished(world, erasure["id"])
    assert _files_with(postgres, marker) == []


def _files_with(postgres: DatabaseServer, text: str) -> list[Path]:
    """Files of tables and indexes; those that were replaced go at a checkpoint."""
    postgres.cluster.psql("CHECKPOINT")
    home = Path(postgres.cluster.psql("SHOW data_directory").strip())
    files = [each for each in (home / "base").rglob("*") if each.is_file()]
    return [each for each in files if text.encode() in each.read_bytes()]
