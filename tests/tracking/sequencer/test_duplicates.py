"""One verdict on duplicates, the same for every reader, across requests, sources and restarts."""

import asyncio
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.events import Event
from services.kit.feeds import Bell, FeedRow, pack
from services.kit.postgres import workspace_tx
from services.kit.workers import Wake
from services.tracking.erasure.seal import Seal
from services.tracking.log import store
from services.tracking.sequencer.ids import SeenIds
from services.tracking.sequencer.verdict import bitmaps
from services.tracking.sequencer.worker import LogSetBack, Sequencer
from tests.tracking.service import Running, Tracking, each_log, track

pytestmark = pytest.mark.anyio


async def messages(running: Running, after: int = 0) -> list[tuple[str, str]]:
    page = await running.read(after)
    return [(e.message_id, str(e.properties)) for row in page.rows for e in row.entries(Event)]


@each_log
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


@each_log
async def test_a_duplicate_is_known_after_a_restart(tracking: Tracking) -> None:
    for times in range(2):
        async with tracking.ingest() as ingest, tracking.store() as store:
            running = Running(ingest, store, tracking)
            await ingest.post("/v1/track", json=track(messageId="a"))
            await running.read(after=times)
            await running.loaded(1)
            assert len(await messages(running)) == 1


@each_log
async def test_a_lost_id_store_is_rebuilt_from_the_log(tracking: Tracking) -> None:
    async with tracking.ingest() as ingest:
        async with tracking.store() as store:
            await ingest.post("/v1/batch", json={"batch": [track(messageId=m) for m in "abc"]})
            await Running(ingest, store, tracking).loaded(3)
        assert tracking.seen_ids_dir is not None
        shutil.rmtree(tracking.seen_ids_dir)
        async with tracking.store() as store:
            running = Running(ingest, store, tracking)
            await ingest.post("/v1/batch", json={"batch": [track(messageId=m) for m in "xb"]})
            await running.loaded(4)
            assert await messages(running, after=1) == [("x", "{}")]


async def sequence(tracking: Tracking, folder: Path, *message_ids: str) -> list[str]:
    """Appends a batch and sequences it by an id store in ``folder``; the ids that passed."""
    async with tracking.ingest() as ingest:
        await ingest.post("/v1/batch", json={"batch": [track(messageId=m) for m in message_ids]})
    ids = SeenIds(folder)
    async with tracking.log() as (maker, log):
        try:
            sequencer = Sequencer(maker, log, ids, Bell(), Wake(), lambda: None, Seal("test"))
            while await sequencer.sequence_all():
                pass
            await ids.flush()
        finally:
            ids.close()
        async with workspace_tx(maker, tracking.workspace_id) as session:
            rows = await store.apply_verdicts(
                session, str(tracking.workspace_id), await tracking.rows()
            )
    return [event.message_id for event in rows[-1].entries(Event)]


@each_log
async def test_an_id_store_that_is_behind_reads_the_rest_from_the_log(
    tracking: Tracking, tmp_path: Path
) -> None:
    folder, older = tmp_path / "ids", tmp_path / "older"
    assert await sequence(tracking, folder, "a") == ["a"]
    shutil.copytree(folder, older)
    assert await sequence(tracking, folder, "b", "a") == ["b"]
    assert await sequence(tracking, older, "a", "b", "c") == ["c"]


async def test_an_id_store_of_a_log_that_was_set_back_is_not_believed(
    tracking: Tracking, tmp_path: Path
) -> None:
    folder = tmp_path / "ids"
    assert await sequence(tracking, folder, "a") == ["a"]
    assert await sequence(tracking, folder, "b") == ["b"]
    # A backup from before "b": the client, never told otherwise, sends it again.
    await tracking.sql('DELETE FROM log WHERE "offset" = 2 RETURNING 1')
    await tracking.sql("UPDATE log_partition SET end_offset = 1 RETURNING 1")
    await tracking.sql("UPDATE log_reader SET position = 1 RETURNING 1")
    assert await sequence(tracking, folder, "b", "a") == ["b"]


async def test_an_equal_offset_of_another_log_is_told_by_its_time(
    tracking: Tracking, tmp_path: Path
) -> None:
    folder, other = tmp_path / "ids", tmp_path / "other"
    assert await sequence(tracking, folder, "a") == ["a"]
    await tracking.sql("DELETE FROM log RETURNING 1")
    await tracking.sql("DELETE FROM log_partition RETURNING 1")
    await tracking.sql("DELETE FROM log_reader RETURNING 1")
    assert await sequence(tracking, other, "b") == ["b"]
    assert await sequence(tracking, folder, "a", "b") == ["a"]


async def test_a_log_that_ends_before_what_was_read_of_it_is_not_passed_over(
    tracking: Tracking, tmp_path: Path
) -> None:
    await sequence(tracking, tmp_path / "ids", "a")
    await tracking.sql("UPDATE log_reader SET position = 5 RETURNING 1")
    with pytest.raises(LogSetBack):
        await sequence(tracking, tmp_path / "ids", "b")


@each_log
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
