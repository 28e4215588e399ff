"""Erasures that are killed at every moment, and what is left of them in files."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import zstandard
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.identifiers import subject_id
from services.kit import compaction
from services.kit.clickhouse import ClickHouse
from services.kit.postgres import SessionMaker, create_sessionmaker, workspace_tx
from services.kit.workers import Wake, Workers
from services.tracking.erasure import logged, service, steps, store, stored
from services.tracking.erasure.seal import Seal
from services.tracking.erasure.steps import Resources
from services.tracking.erasure.worker import Eraser
from services.tracking.log.port import Log
from tests.support.postgres import DatabaseServer
from tests.tracking.erasure.world import World
from tests.tracking.service import Running, Tracking, track

pytestmark = pytest.mark.anyio

_FRAME = b"\x28\xb5\x2f\xfd"


class Killed(Exception):
    """The process is gone."""


@pytest.fixture
async def maker(tracking: Tracking) -> AsyncIterator[SessionMaker]:
    engine = create_async_engine(tracking.database.app_dsn)
    yield create_sessionmaker(engine)
    await engine.dispose()


@pytest.fixture
async def log(tracking: Tracking) -> AsyncIterator[Log]:
    async with tracking.log() as (_, found):
        yield found


def _killed_often(monkeypatch: pytest.MonkeyPatch, seed: int) -> list[str]:
    """Four in ten calls of what changes something fail, before or after it has happened."""
    kills: list[str] = []
    dice = random.Random(seed)  # noqa: S311 - it replays

    def fragile(module: Any, name: str) -> None:
        whole: Callable[..., Awaitable[Any]] = getattr(module, name)

        async def call(*arguments: Any, **values: Any) -> Any:
            fate = dice.random()
            if fate < 0.2:
                kills.append(name)
                raise Killed
            answer = await whole(*arguments, **values)
            if fate < 0.4:
                kills.append(name)
                raise Killed
            return answer

        monkeypatch.setattr(module, name, call)

    for name in ("change", "clean_quarantined", "forget_identity"):
        fragile(store, name)
    fragile(compaction, "compact")
    for name in ("add_places", "rewrite"):
        fragile(logged, name)
    for name in ("hide", "purge"):
        fragile(stored, name)
    return kills


async def test_an_erasure_that_is_killed_again_and_again_ends_as_any_other(
    tracking: Tracking, maker: SessionMaker, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH_ROWS", 2)
    kills = _killed_often(monkeypatch, seed=1)
    async with tracking.ingest() as ingest, tracking.store() as app:
        world = World(Running(ingest, app, tracking))
        for number in range(5):
            await world.post(
                track("ada", messageId=f"a{number}"), track("bob", messageId=f"b{number}")
            )
            await world.post({"userId": "ada", "type": "odd"})
        await world.both.loaded(10)
    clickhouse = await ClickHouse.open(tracking.clickhouse_dsn)
    resources = Resources(maker, clickhouse, Seal("a key of this test run"), log)
    # Asked for while nothing else runs.
    await _begin(resources, tracking)
    eraser = Eraser(resources, Wake(), Workers(), rest_seconds=0)
    while not await _is_purged(tracking):
        try:
            await eraser.advance()
        except Killed:
            # What the process knew of the last purge is gone with it.
            eraser = Eraser(resources, Wake(), Workers(), rest_seconds=0)
    assert len(set(kills)) >= 4
    [(stores,)] = await tracking.sql("SELECT stores FROM erasure")
    erased = {line["store"]: line["erased"] for line in stores}
    assert erased == {"clickhouse:events": 5, "log": 5, "quarantine": 5, "identity": 0}
    assert [e.message_id for e in await tracking.logged()] == [
        each for number in range(5) for each in ("", f"b{number}")
    ]
    assert await tracking.clickhouse("count()") == [(5,)]
    await clickhouse.close()


async def _begin(resources: Resources, tracking: Tracking) -> None:
    async with workspace_tx(resources.maker, tracking.workspace_id) as session:
        ada = subject_id(tracking.workspace_id, "user_id", "ada")
        await service.begin(session, resources.seal, tracking.workspace_id, ada, datetime.now(UTC))


async def _is_purged(tracking: Tracking) -> bool:
    rows = await tracking.sql("SELECT 1 FROM erasure WHERE state IN ('purged', 'finished')")
    return bool(rows)


async def test_tables_are_not_compacted_while_others_see_or_hold_what_was_removed(
    tracking: Tracking, maker: SessionMaker
) -> None:
    engine = create_async_engine(tracking.database.app_dsn, isolation_level="REPEATABLE READ")
    async with engine.connect() as reader:
        # Begins to see the tables as they are now.
        await reader.execute(text("SELECT count(*) FROM log_partition"))
        async with maker.begin() as session:
            since = await compaction.transaction_id(session)
        assert await compaction.compact(maker, "log", since) is False
        await reader.rollback()
        assert await compaction.compact(maker, "log", since) is True
    async with maker.begin() as holder:
        await holder.execute(text("SELECT 1 FROM log"))
        async with maker.begin() as session:
            # Later than the holder's snapshots, which end with each statement.
            since = await compaction.transaction_id(session)
        assert await compaction.compact(maker, "log", since) is False
    await engine.dispose()


async def test_a_marker_of_the_person_is_in_no_file_afterwards(
    world: World, postgres: DatabaseServer
) -> None:
    marker = uuid4().hex
    person = f"ada-{marker}"
    event = track(
        person,
        messageId="a1",
        properties={"note": marker},
        context={"traits": {"email": f"{marker}@example.com"}},
    )
    await world.post(event, track("bob", messageId="b1"))
    # The client sends it again: a row that no reader ever got.
    await world.post(event)
    await world.post({"userId": person, "type": "odd"})
    await world.post({"type": "identify", "userId": person, "traits": {"x": marker}})
    await world.both.loaded(3)
    assert _in_postgres(postgres, marker)
    assert await _in_clickhouse(world, marker)
    certificate = await world.erase(world.subject(person), until="finished")
    assert certificate["verified"] is True
    erased = {line["store"]: line["erased"] for line in certificate["stores"]}
    assert erased["clickhouse:events"] == 2
    assert erased["log"] == 3
    assert erased["quarantine"] == 1
    assert not _in_postgres(postgres, marker)
    assert not await _in_clickhouse(world, marker)
    assert await world.stored() == ["b1"]


def _in_postgres(server: DatabaseServer, marker: str) -> list[Path]:
    """Files of tables and indexes that hold the marker, in plain or in a packed row."""
    server.cluster.psql("CHECKPOINT")
    found = []
    for path in (server.cluster.home / "data" / "base").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if marker.encode() in data or any(marker.encode() in row for row in _unpacked(data)):
            found.append(path)
    return found


def _unpacked(data: bytes) -> list[bytes]:
    rows, at = [], data.find(_FRAME)
    while at >= 0:
        try:
            rows.append(
                zstandard.ZstdDecompressor().decompressobj().decompress(data[at : at + 8192])
            )
        except zstandard.ZstdError:
            rows.append(b"")
        at = data.find(_FRAME, at + 1)
    return rows


async def _in_clickhouse(world: World, marker: str) -> list[Any]:
    """Rows, hidden ones too, that hold the marker; and parts that no query reads any more."""
    clickhouse = await ClickHouse.open(world.both.tracking.clickhouse_dsn)
    blocks = clickhouse.stream(
        "SELECT message_id FROM events WHERE concat(user_id, email, properties, traits, context) "
        "LIKE {like:String}",
        {"like": f"%{marker}%"},
        {"apply_deleted_mask": 0},
    )
    rows = [ids async for (ids,) in blocks]
    parts = await clickhouse.query(
        "SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'events' "
        "AND NOT active AND rows > 1"
    )
    await clickhouse.close()
    return rows + parts
