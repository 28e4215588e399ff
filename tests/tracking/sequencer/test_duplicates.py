"""One verdict on duplicates, the same for every reader, across requests, sources and restarts."""

import asyncio
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.contracts.events import Event
from services.kit.feeds import FeedRow, pack
from services.kit.postgres import create_sessionmaker
from services.tracking.sequencer.ids import KEEP_WEEKS, PostgresSeenIds, key
from services.tracking.sequencer.verdict import bitmaps
from tests.support.postgres import NewDatabase
from tests.tracking.service import Running, Tracking, track

pytestmark = pytest.mark.anyio


async def messages(running: Running, after: int = 0) -> list[tuple[str, str]]:
    page = await running.read(after)
    return [(e.message_id, str(e.properties)) for row in page.rows for e in row.entries(Event)]


async def test_the_first_of_equal_message_ids_wins_in_log_and_clickhouse(both: Running) -> None:
    for number in range(2):
        events = [
            track(messageId="a", properties={"n": number}),
            track(messageId=f"b{number}", properties={"n": number}),
            track(messageId="a", properties={"n": 10 + number}),
        ]
        await both.ingest.post("/v1/batch", json={"batch": events})
    await both.loaded(3)
    expected = [("a", '{"n":0}'), ("b0", '{"n":0}'), ("b1", '{"n":1}')]
    assert await messages(both) == expected
    rows = await both.tracking.clickhouse(
        "message_id, properties", "ORDER BY log_offset, log_index"
    )
    assert rows == expected


async def test_sources_have_message_ids_of_their_own(tracking: Tracking) -> None:
    for source in ("web", "shop"):
        async with tracking.ingest(source) as client:
            await client.post("/v1/track", json=track(messageId="a"))
    async with tracking.store() as store, tracking.ingest() as ingest:
        await Running(ingest, store, tracking).loaded(2)


async def test_a_duplicate_is_known_after_a_restart(tracking: Tracking) -> None:
    for times in range(2):
        async with tracking.ingest() as ingest, tracking.store() as store:
            running = Running(ingest, store, tracking)
            await ingest.post("/v1/track", json=track(messageId="a"))
            await running.read(after=times)
            await running.loaded(1)
            assert len(await messages(running)) == 1


async def test_a_lost_id_store_is_rebuilt_from_the_log(tracking: Tracking) -> None:
    async with tracking.ingest() as ingest:
        async with tracking.store() as store:
            await ingest.post("/v1/batch", json={"batch": [track(messageId=m) for m in "abc"]})
            await Running(ingest, store, tracking).loaded(3)
        await tracking.sql("DELETE FROM seen_id RETURNING 1")
        async with tracking.store() as store:
            running = Running(ingest, store, tracking)
            await ingest.post("/v1/batch", json={"batch": [track(messageId=m) for m in "xb"]})
            await running.loaded(4)
            assert await messages(running, after=1) == [("x", "{}")]


async def test_only_sequenced_rows_are_served_and_a_poll_waits_for_them(
    tracking: Tracking,
) -> None:
    async with tracking.ingest() as ingest, tracking.store() as store:
        running = Running(ingest, store, tracking)
        await ingest.post("/v1/track", json=track())
        await running.read()
        poll = asyncio.create_task(running.read(after=1, wait=10))
        await ingest.post("/v1/track", json=track())
        page = await poll
        assert ([row.offset for row in page.rows], page.end) == ([2], 2)
        names = (await store.get("/internal/v1/log/partitions")).json()
        assert names == {"partitions": [str(tracking.workspace_id)]}
        missing = await store.get("/internal/v1/log", params={"partition": "nobody"})
        assert missing.json()["type"] == "/problems/unknown-partition"


@pytest.fixture
async def engine(database: NewDatabase) -> AsyncEngine:
    return create_async_engine(database("tracking").app_dsn)


async def test_ids_are_kept_for_more_than_30_days_and_then_forgotten(engine: AsyncEngine) -> None:
    maker, ids = create_sessionmaker(engine), PostgresSeenIds()
    one, day = key(uuid4(), "web", "m"), 24 * 3600.0
    new_after = {}
    for days in (0, 29, 30.9, 7 * (KEEP_WEEKS + 1)):
        async with maker.begin() as session:
            new_after[days] = await ids.claim(session, [one], 1_795_328_000 + days * day) == {one}
    await engine.dispose()
    assert list(new_after.values()) == [True, False, False, True]


async def test_what_is_rolled_back_was_never_claimed(engine: AsyncEngine) -> None:
    maker, ids = create_sessionmaker(engine), PostgresSeenIds()
    one = key(uuid4(), "web", "m")
    for _ in range(2):
        async with maker() as session:
            assert await ids.claim(session, [one], 0) == {one}
            await session.rollback()
    await engine.dispose()


KEYS = st.lists(st.lists(st.sampled_from([bytes([i]) for i in range(12)]), min_size=1), max_size=6)


@given(KEYS, st.sets(st.sampled_from([bytes([i]) for i in range(12)])))
def test_a_bitmap_lets_exactly_the_first_of_each_new_key_pass(
    keys: list[list[bytes]], new: set[bytes]
) -> None:
    rows = [FeedRow(i + 1, len(k), 0, pack([each.hex() for each in k])) for i, k in enumerate(keys)]
    drops = bitmaps(rows, keys, new)
    passed = []
    for row in rows:
        row.drop = drops.get(row.offset)
        passed += row.entries(str)
    seen = dict.fromkeys(each.hex() for row in keys for each in row if each in new)
    assert passed == list(seen)
