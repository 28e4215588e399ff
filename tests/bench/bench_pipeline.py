"""From the log into ClickHouse, with 30 million message ids in the sequencer's store.

Prints one JSON line: what the loader adds to a bare insert, the sustained rate, the memory.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.clickhouse import ClickHouse
from services.kit.feeds import Bell
from services.kit.garbage import spare_collections
from services.kit.postgres import create_sessionmaker
from services.kit.workers import Wake, Workers
from services.tracking.clickhouse import migrate
from services.tracking.erasure.seal import Seal
from services.tracking.loader.block import entries, table
from services.tracking.loader.worker import BLOCK_EVENTS, Loader
from services.tracking.log import store as log
from services.tracking.log.commit import asyncpg_dsn
from services.tracking.log.postgres import PostgresLog
from services.tracking.sequencer.ids import SeenIds
from services.tracking.sequencer.manifest import Covered
from services.tracking.sequencer.worker import Sequencer
from tests.bench import load, stack
from tests.bench.bench_ingest import BATCH, event
from tests.bench.load import Plan
from tests.bench.stack import Served, Stack
from tests.support.app import user_headers

EVENTS = 5_000_000
KNOWN_IDS = 30_000_000
LOADER_BLOCKS, LOADER_ROUNDS = 4, 3
BACKLOG = 200_000
"""What an hour without ClickHouse leaves at 55 events a second."""
_FILL = 100_000
_LOOK_SECONDS = 0.2
_BEHIND = """
SELECT count(*) FROM log_partition p
LEFT JOIN log_reader r ON r.partition = p.name AND r.reader = 'loader'
WHERE r.position IS DISTINCT FROM p.end_offset
"""


def post(ingest: Served, workspace_id: UUID, count: int, watch: Callable[[], None]) -> float:
    """Posts ``count`` new events in batches; events a second."""
    headers = user_headers("tracking", workspace_id, scopes=("ingest",), source_id="bench")
    body = json.dumps({"batch": [event()] * BATCH})
    rate = 0.0
    # In parts: a token lives for minutes, and memory is looked at in between.
    part = min(count, 500_000) // BATCH
    for _ in range(count // BATCH // part):
        plan = Plan(f"{ingest.url}/v1/batch", body, headers, connections=8, requests=part)
        rate = load.run(plan)["rate"] * BATCH
        watch()
    return rate


def fill(folder: Path, count: int) -> dict[str, float]:
    """An id store of ``count`` random keys, and what that cost."""

    async def remember() -> float:
        ids, slowest = SeenIds(folder), 0.0
        at_ms = int(time.time() * 1000)
        for number in range(count // _FILL):
            raw = os.urandom(16 * _FILL)
            keys = [raw[at : at + 16] for at in range(0, len(raw), 16)]
            began = time.perf_counter()
            assert len(ids.unknown(keys)) == _FILL
            await ids.remember("elsewhere", Covered(number + 1, at_ms), keys)
            slowest = max(slowest, time.perf_counter() - began)
        await ids.flush()
        ids.close()
        return slowest

    began = time.perf_counter()
    slowest = asyncio.run(remember())
    rate = count / (time.perf_counter() - began)
    began = time.perf_counter()
    SeenIds(folder).close()
    return {
        "ids": count,
        "unknown_and_remember_per_s": round(rate),
        "slowest_100k_s": round(slowest, 2),
        "open_s": round(time.perf_counter() - began, 2),
        "megabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6),
    }


async def loader_against_insert(running: Stack, workspace_id: UUID) -> dict[str, Any]:
    """The same rows by the loader and by a bare insert, block by block in turn."""
    spare_collections()
    engine = create_async_engine(running.tracking.app_dsn)
    maker = create_sessionmaker(engine)
    clickhouse = await ClickHouse.open(f"chdb://{running.home / 'chdb-loader'}")
    await migrate.upgrade(clickhouse)
    ids = SeenIds(running.home / "seen-ids-loader")
    events_log = PostgresLog(maker, running.tracking.app_dsn)
    sequencer = Sequencer(maker, events_log, ids, Bell(), Wake(), lambda: None, Seal("bench"))
    while await sequencer.sequence_all():
        pass
    await clickhouse.command("CREATE TABLE bare AS events")
    loader = Loader(maker, events_log, clickhouse, Wake(), Workers())
    name, took, offset = str(workspace_id), [], 0
    for _ in range(LOADER_ROUNDS + 1):
        # Several blocks on end: what the loader does ahead counts where it is used.
        began = time.perf_counter()
        for _ in range(LOADER_BLOCKS):
            await loader.load_all()
        loaded = time.perf_counter() - began
        async with maker.begin() as session:
            end = await log.position(session, log.LOADER, name)
        rows = await events_log.read(name, offset, end, rows=end - offset, size=1 << 62)
        offset = end
        found = entries(name, rows)
        made = inserted = 0.0
        for start in range(0, len(found), BLOCK_EVENTS):
            began = time.perf_counter()
            data = table(workspace_id, "bare", found[start : start + BLOCK_EVENTS])
            made += time.perf_counter() - began
            began = time.perf_counter()
            await clickhouse.insert_arrow("bare", data, {"async_insert": 0})
            inserted += time.perf_counter() - began
        took.append((loaded, made + inserted, inserted, len(found)))
    await loader.close()
    ids.close()
    await clickhouse.close()
    await engine.dispose()
    # The first round warms both up.
    took = took[1:]
    return {
        "events_per_s": round(statistics.median(count / loaded for loaded, *_, count in took)),
        "bare_insert_per_s": round(statistics.median(count / bare for _, bare, _, count in took)),
        "ratio": round(statistics.median(bare / loaded for loaded, bare, *_ in took), 2),
        # Against ClickHouse alone, as if rows were columns already.
        "ratio_without_making_columns": round(
            statistics.median(inserted / loaded for loaded, _, inserted, _ in took), 2
        ),
    }


async def drained(running: Stack, within: float, watch: Callable[[], None]) -> None:
    """Returns when the loader has passed the whole log; looks at it now and then, cheaply."""
    connection = await asyncpg.connect(asyncpg_dsn(running.tracking.app_dsn))
    async with asyncio.timeout(within):
        while await connection.fetchval(_BEHIND):
            watch()
            await asyncio.sleep(_LOOK_SECONDS)
    await connection.close()


def test_loader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    workspace_id = uuid4()
    with stack.running(tmp_path) as running:
        ingest = running.ingest()
        post(ingest, workspace_id, (LOADER_ROUNDS + 2) * LOADER_BLOCKS * BLOCK_EVENTS, lambda: None)
        ingest.stop()
        figures = asyncio.run(loader_against_insert(running, workspace_id))
    with capsys.disabled():
        print(json.dumps({"bench": "loader", "machine": before, **figures}))


def test_sustained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    workspace_id = uuid4()
    peak: dict[str, int] = {"ingest": 0, "store": 0}
    with stack.running(tmp_path) as running:
        ids = fill(running.seen_ids(), KNOWN_IDS)
        ingest = running.ingest()

        def watch_ingest() -> None:
            peak["ingest"] = max(peak["ingest"], ingest.rss_bytes)

        accepted = post(ingest, workspace_id, EVENTS, watch_ingest)
        store = running.store()
        process = psutil.Process(store.process.pid)

        def watch_store() -> None:
            peak["store"] = max(peak["store"], process.memory_info().rss)

        began = time.perf_counter()
        asyncio.run(drained(running, 900, watch_store))
        seconds = time.perf_counter() - began
        figures = {
            "seen_ids": ids,
            "accepted_per_s": round(accepted),
            "log_to_clickhouse_per_s": round(EVENTS / seconds),
            "store_cpu_us_per_event": round(store.cpu_seconds / EVENTS * 1e6, 1),
            "peak_rss_mb": {name: round(size / 1e6) for name, size in peak.items()},
        }
    with capsys.disabled():
        print(json.dumps({"bench": "sustained", "machine": before, "events": EVENTS, **figures}))


def test_catch_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        ingest = running.ingest()
        accepted = post(ingest, uuid4(), BACKLOG, lambda: None)
        store = running.store()
        began = time.perf_counter()
        asyncio.run(drained(running, 300, lambda: None))
        figures = {
            "accepted_per_s": round(accepted),
            "drained_s": round(time.perf_counter() - began, 1),
            "store_rss_mb": round(store.rss_bytes / 1e6),
        }
    with capsys.disabled():
        print(json.dumps({"bench": "catch_up", "machine": before, "events": BACKLOG, **figures}))
