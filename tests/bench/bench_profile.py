"""From the log to profiles, segments and the change feed; look-ups.

Prints one JSON line per benchmark.
"""

import asyncio
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import psutil
import pytest

from services.contracts.changes import Change
from services.identifiers import subject_id
from services.kit import feeds
from services.tracking.log.commit import asyncpg_dsn
from tests.bench import bare_upsert, load, stack
from tests.bench.bench_pipeline import drained
from tests.bench.load import Plan
from tests.bench.profiles import BATCH, Bench, batches, event
from tests.support.app import service_headers, user_headers

EVENTS, PEOPLE = 1_000_000, 100_000
BLOCKS = EVENTS // 20_000
"""Of the bare upsert; profile's own blocks are at most as large."""
FEED_RATE, FEED_SECONDS, FEED_BATCH = 2000, 20, 20
LOOKUPS_S = 5.0


async def _counters(running: stack.Stack) -> dict[str, int]:
    database = await asyncpg.connect(asyncpg_dsn(running.profiles.owner_dsn))
    counted = await bare_upsert.written(database)
    await database.close()
    return counted


async def _bare_upsert(running: stack.Stack, rows: dict[str, int]) -> float:
    """PostgreSQL's seconds of CPU for a bare upsert of as many rows of the same tables."""
    database = await asyncpg.connect(asyncpg_dsn(running.profiles.owner_dsn))
    await bare_upsert.stage(database, rows, BLOCKS)
    before = running.postgres_cpu_seconds
    await bare_upsert.upsert(database, rows, BLOCKS)
    spent = running.postgres_cpu_seconds - before
    await database.close()
    return spent


def test_log_to_profiles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        bench = Bench(running)
        bench.post(batches(10 * BATCH, PEOPLE, 1))
        bench.caught_up()
        segments_s = bench.make_segments()
        bench.profile.stop()
        bench.post(batches(EVENTS, PEOPLE, 2))
        # ClickHouse's share of the processors is another benchmark's.
        asyncio.run(drained(running, 600, lambda: None))
        bench.profile = running.profile(bench.ingest, bench.store)
        process, peak = psutil.Process(bench.profile.process.pid), 0

        def watch() -> None:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)

        rows = asyncio.run(_counters(running))
        postgres, cpu, began = running.postgres_cpu_seconds, 0.0, time.perf_counter()
        bench.caught_up(watch)
        seconds = time.perf_counter() - began
        cpu, postgres = bench.profile.cpu_seconds, running.postgres_cpu_seconds - postgres
        with bench.user() as client:
            members = sum(each["members"] for each in bench.segments(client))
        bench.profile.stop()
        after = asyncio.run(_counters(running))
        rows = {table: after[table] - rows[table] for table in after}
        # What is written once a block is not what this is about.
        rows = {table: count for table, count in rows.items() if count > EVENTS / 1000}
        bare = asyncio.run(_bare_upsert(running, rows))
        figures = {
            "events_per_s": round(EVENTS / seconds),
            "cpu_us_per_event": round(cpu / EVENTS * 1e6, 1),
            "postgres_cpu_us_per_event": round(postgres / EVENTS * 1e6, 1),
            "bare_upsert_cpu_us_per_event": round(bare / EVENTS * 1e6, 1),
            "postgres_against_bare_upsert": round(postgres / bare, 2),
            "rows_written": rows,
            "peak_rss_mb": round(peak / 1e6),
            "segments_ready_s": round(segments_s, 1),
            "memberships": members,
        }
    with capsys.disabled():
        print(json.dumps({"bench": "log_to_profiles", "machine": before, **figures}))


class Entered:
    """Follows the feed and notes when each of ``wanted`` people entered the segment."""

    def __init__(self, bench: Bench, segment_id: str, wanted: int) -> None:
        self.bench, self.segment_id, self.wanted = bench, segment_id, wanted
        self.seen_at: dict[str, float] = {}

    async def follow(self) -> None:
        headers = service_headers("orchestrator", "profile", self.bench.workspace_id)
        params: dict[str, Any] = {"partition": str(self.bench.workspace_id), "wait": 10}
        async with httpx2.AsyncClient(base_url=self.bench.profile.url, timeout=30.0) as client:
            after = 0
            while len(self.seen_at) < self.wanted:
                answer = await client.get(
                    "/internal/v1/feed", params={**params, "after": after}, headers=headers
                )
                now = time.perf_counter()
                for row in feeds.decode_page(answer.raise_for_status().content).rows:
                    after = row.offset
                    for change in row.entries(Change):
                        if change.data.get("segment_id") == self.segment_id:
                            self.seen_at[change.profile_id] = now


async def _entered(bench: Bench, segment_id: str) -> list[float]:
    """Seconds from acknowledgement to ``segment.entered`` of one new person per request."""
    requests = FEED_RATE // FEED_BATCH
    reader = Entered(bench, segment_id, requests * FEED_SECONDS)
    following = asyncio.create_task(reader.follow())
    headers = user_headers("tracking", bench.workspace_id, scopes=("ingest",), source_id="bench")
    headers["Content-Type"] = "application/json"
    choose, run = random.Random(3), uuid4().hex[:12]  # noqa: S311
    acknowledged: dict[str, float] = {}

    async def send(client: httpx2.AsyncClient, number: int) -> None:
        filler = [event(choose, PEOPLE, f"{run}-{number}-{n}") for n in range(FEED_BATCH - 1)]
        user = f"{run}-{number}"
        trigger = {"type": "track", "event": "Triggered", "userId": user, "messageId": user}
        body = json.dumps({"batch": [*filler, trigger]})
        (await client.post("/v1/batch", content=body)).raise_for_status()
        acknowledged[user] = time.perf_counter()

    async with httpx2.AsyncClient(base_url=bench.ingest.url, headers=headers) as client:
        async with asyncio.TaskGroup() as tasks:
            began = time.perf_counter()
            for number in range(reader.wanted):
                due = began + number / requests
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                tasks.create_task(send(client, number))
        await asyncio.wait_for(following, 60)
    # The first second warms everything up. A profile's id is its first subject's.
    return [
        reader.seen_at[str(subject_id(bench.workspace_id, "user_id", user))] - at
        for user, at in list(acknowledged.items())[requests:]
    ]


def test_entered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        bench = Bench(running)
        bench.post(batches(40 * BATCH, PEOPLE, 1))
        bench.caught_up()
        bench.make_segments()
        with bench.user() as client:
            rule = {"rules": [{"event": "Triggered"}]}
            made = client.post("/api/v1/segments", json={"name": "Triggered", "rule": rule})
            segment_id = made.raise_for_status().json()["id"]
            bench.wait(lambda: all(s["status"] == "ready" for s in bench.segments(client)))
        took = asyncio.run(_entered(bench, segment_id))
        figures = {
            "events_per_s": FEED_RATE,
            "tries": len(took),
            "p50_s": round(statistics.median(took), 3),
            "p95_s": round(statistics.quantiles(took, n=20)[-1], 3),
        }
    with capsys.disabled():
        print(json.dumps({"bench": "segment_entered", "machine": before, **figures}))


def test_lookup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        bench = Bench(running)
        bench.post(batches(200 * BATCH, PEOPLE, 1))
        bench.caught_up()
        headers = user_headers("profile", bench.workspace_id)
        plan = Plan(
            f"{bench.profile.url}/api/v1/profiles",
            "",
            headers,
            connections=16,
            seconds=LOOKUPS_S,
            queries=[f"namespace=user_id&value=user-{n}" for n in range(0, PEOPLE, 97)],
        )
        load.run(plan)
        cpu = bench.profile.cpu_seconds
        found = load.run(plan)
        cpu = bench.profile.cpu_seconds - cpu
        figures = {
            "per_s": round(found["rate"]),
            "p50_ms": round(found["p50_ms"], 2),
            "p99_ms": round(found["p99_ms"], 2),
            "cpu_us": round(cpu / found["requests"] * 1e6),
        }
    with capsys.disabled():
        print(json.dumps({"bench": "lookup", "machine": before, **figures}))
