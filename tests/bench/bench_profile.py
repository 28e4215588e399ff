"""From the log to profiles, segments and the change feed; look-ups; a backfill over the past.

Prints one JSON line per benchmark.
"""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
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
from tests.bench import load, stack
from tests.bench.bench_pipeline import drained
from tests.bench.load import Plan
from tests.bench.stack import Stack
from tests.support.app import service_headers, user_headers

EVENTS, PEOPLE, SEGMENTS = 1_000_000, 100_000, 50
BATCH = 500
KINDS = 30
"""Names of events; segments read some of them."""
FEED_RATE, FEED_SECONDS, FEED_BATCH = 2000, 20, 20
LOOKUPS_S = 5.0
_LOOK_SECONDS = 0.1
_READY_SECONDS = 120.0


def batches(count: int, people: int, seed: int) -> Iterator[str]:
    """Bodies of ``BATCH`` events of random people: one in twenty an identify with traits."""
    choose = random.Random(seed)  # noqa: S311
    run = uuid4().hex[:12]
    for start in range(0, count, BATCH):
        yield json.dumps(
            {"batch": [_event(choose, people, f"{run}-{start + n}") for n in range(BATCH)]}
        )


def _event(choose: random.Random, people: int, message_id: str) -> dict[str, Any]:
    person = int(people * choose.random() ** 1.5)
    made: dict[str, Any] = {"messageId": message_id, "userId": f"user-{person}"}
    if choose.random() < 0.05:
        traits = {
            "email": f"user-{person}@example.com",
            "plan": choose.choice(("free", "pro", "max")),
            "visits": choose.randrange(100),
            "country": choose.choice(("CN", "DE", "US")),
        }
        return {**made, "type": "identify", "traits": traits}
    if choose.random() < 0.2:
        made["anonymousId"] = f"device-{person}"
    properties = {"total": choose.randrange(500), "sku": f"s-{choose.randrange(1000)}"}
    name = f"Event {int(KINDS * choose.random() ** 2)}"
    return {**made, "type": "track", "event": name, "properties": properties}


def rules() -> Iterator[dict[str, Any]]:
    """``SEGMENTS`` different rules: counts, windows, filters and traits, alone and together."""
    for number in range(SEGMENTS):
        event = {"event": f"Event {number % KINDS}", "count": {"value": 1 + number % 5}}
        if number % 3 == 0:
            event["window"] = {"last_days": 1 + number % 30}
        if number % 4 == 0:
            where = {"field": "properties.total", "operator": ">", "value": number * 8}
            event["where"] = {"rules": [where]}
        trait = {"field": "traits.plan", "operator": "=", "value": ("free", "pro")[number % 2]}
        nodes = [event, trait] if number % 2 else [event]
        yield {"combinator": "and" if number % 4 else "or", "rules": nodes}


class Bench:
    """One workspace on tracking and profile."""

    def __init__(self, running: Stack) -> None:
        self.running = running
        self.workspace_id = uuid4()
        self.ingest = running.ingest()
        self.store = running.store()
        self.profile = running.profile(self.ingest, self.store)

    def post(self, bodies: Iterator[str]) -> None:
        headers = user_headers("tracking", self.workspace_id, scopes=("ingest",), source_id="bench")
        headers["Content-Type"] = "application/json"
        with httpx2.Client(base_url=self.ingest.url, headers=headers) as client:
            for body in bodies:
                client.post("/v1/batch", content=body).raise_for_status()

    def user(self) -> httpx2.Client:
        headers = user_headers("profile", self.workspace_id)
        return httpx2.Client(base_url=self.profile.url, headers=headers, timeout=60.0)

    def make_segments(self) -> float:
        """Seconds until all of ``rules`` are ready."""
        began = time.perf_counter()
        with self.user() as client:
            for number, rule in enumerate(rules()):
                body = {"name": f"Segment {number}", "rule": rule}
                client.post("/api/v1/segments", json=body).raise_for_status()
            self.wait(lambda: all(s["status"] == "ready" for s in self.segments(client)))
        return time.perf_counter() - began

    def segments(self, client: httpx2.Client) -> list[dict[str, Any]]:
        found = client.get("/api/v1/segments", params={"limit": 100}).raise_for_status().json()
        return list(found["items"])

    def wait(self, done: Callable[[], bool], within: float = _READY_SECONDS) -> None:
        deadline = time.monotonic() + within
        while not done():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(_LOOK_SECONDS)

    def caught_up(self, watch: Callable[[], None] = lambda: None, within: float = 600.0) -> None:
        """Returns when profile has applied the whole log."""
        asyncio.run(self._caught_up(watch, within))

    async def _caught_up(self, watch: Callable[[], None], within: float) -> None:
        log = await asyncpg.connect(asyncpg_dsn(self.running.tracking.app_dsn))
        end = await log.fetchval(
            "SELECT end_offset FROM log_partition WHERE name = $1", str(self.workspace_id)
        )
        await log.close()
        mine = await asyncpg.connect(asyncpg_dsn(self.running.profiles.app_dsn))
        place = "SELECT log_offset FROM consumer WHERE partition = $1"
        async with asyncio.timeout(within):
            while (await mine.fetchval(place, str(self.workspace_id)) or 0) < end:
                watch()
                await asyncio.sleep(_LOOK_SECONDS)
        await mine.close()


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

        postgres, cpu, began = running.postgres_cpu_seconds, 0.0, time.perf_counter()
        bench.caught_up(watch)
        seconds = time.perf_counter() - began
        cpu = bench.profile.cpu_seconds
        with bench.user() as client:
            members = sum(each["members"] for each in bench.segments(client))
        figures = {
            "events_per_s": round(EVENTS / seconds),
            "cpu_us_per_event": round(cpu / EVENTS * 1e6, 1),
            "postgres_cpu_us_per_event": round(
                (running.postgres_cpu_seconds - postgres) / EVENTS * 1e6, 1
            ),
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
        filler = [_event(choose, PEOPLE, f"{run}-{number}-{n}") for n in range(FEED_BATCH - 1)]
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
