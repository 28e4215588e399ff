"""A workspace with a past: a timeline among many events, and a segment backfilled over them.

The past is written into both stores by SQL, as a year of ingestion would have left it: everybody is
known by one ``user_id``, and events are spread over people and half a year. Prints one JSON line.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import psutil
import pytest

from services.kit.clickhouse import ClickHouse
from services.tracking.log.commit import asyncpg_dsn
from tests.bench import stack
from tests.bench.profiles import BATCH, Bench, batches
from tests.bench.stack import REPOSITORY
from tests.support.app import user_headers

PEOPLE, EVENTS = 1_000_000, 20_000_000
TIMELINES, TIMELINE_EVENTS = 200, 10_000_000
_READY_SECONDS = 900.0

_PEOPLE = """
WITH made AS (
  SELECT n, CAST(md5('person ' || n) AS uuid) AS id FROM generate_series(1, $2::int) n
), profiles AS (
  INSERT INTO profile (workspace_id, profile_id, user_id, traits, identifier_count, created_seq,
                       first_seen_at, last_seen_at)
  SELECT $1, id, 'person ' || n, jsonb_build_object('plan', (ARRAY['free', 'pro'])[1 + n % 2]),
         1, n, now(), now()
  FROM made
)
INSERT INTO identifier (workspace_id, namespace, value, subject_id, profile_id, origin_id,
                        linked_at)
SELECT $1, 'user_id', 'person ' || n, id, id, id, now() FROM made
"""

_FILL = """
INSERT INTO events (workspace_id, source_id, message_id, type, event, user_id, subject_id,
                    occurred_at, original_at, received_at, properties, log_offset, log_index,
                    block_id)
SELECT '{workspace_id}', 'bench', concat('past-', toString(number)), 'track',
       multiIf(kind < 50, 'Page Viewed', kind < 60, 'Order Completed', kind < 61, 'Refunded',
               concat('Event ', toString(kind))),
       concat('person ', toString(person)),
       UUIDNumToString(MD5(concat('person ', toString(person)))),
       now64(3) - toIntervalSecond(cityHash64('at', number) % (180 * 86400)) AS at, at, at,
       concat('{{"total":', toString(cityHash64('total', number) % 500), '}}'),
       1, number % 4000000000, 'past'
FROM (
  SELECT number, 1 + cityHash64('person', number) % {people} AS person,
         cityHash64('kind', number) % 100 AS kind
  FROM numbers({start}, {count})
)
"""
_FILL_AT_ONCE = 2_000_000

# Twice ordered for over 200 within 90 days, thrice looked, never refunded: one person in ten.
RULE: dict[str, Any] = {
    "combinator": "and",
    "rules": [
        {
            "event": "Order Completed",
            "count": {"operator": ">=", "value": 2},
            "window": {"last_days": 90},
            "where": {"rules": [{"field": "properties.total", "operator": ">", "value": 200}]},
        },
        {"event": "Page Viewed", "count": {"operator": ">=", "value": 3}},
        {"event": "Refunded", "count": {"operator": "=", "value": 0}},
    ],
}


def fill(dsn: str, workspace_id: UUID, start: int, end: int) -> None:
    """Events of the past; in a process of its own, as chDB's directory is one process's."""
    program = "from tests.bench.bench_past import fill_here; fill_here()"
    arguments = (dsn, str(workspace_id), str(start), str(end))
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=REPOSITORY, check=True)


def fill_here() -> None:
    asyncio.run(_fill_here(*sys.argv[1:]))


async def _fill_here(dsn: str, workspace_id: str, first: str, end: str) -> None:
    clickhouse = await ClickHouse.open(dsn, readers=0)
    for start in range(int(first), int(end), _FILL_AT_ONCE):
        count = min(_FILL_AT_ONCE, int(end) - start)
        values = {"workspace_id": workspace_id, "people": PEOPLE, "start": start, "count": count}
        await clickhouse.command(_FILL.format(**values))
    await clickhouse.close()


class Past(Bench):
    """A workspace that both services know, with a past."""

    def make(self) -> None:
        self.post(batches(BATCH, 100, 1))
        self.caught_up()
        asyncio.run(self._people())
        self.add(0, TIMELINE_EVENTS)

    def add(self, start: int, end: int) -> None:
        """The events of these numbers, while nobody else has the stores."""
        self.profile.stop()
        self.store.stop()
        fill(f"chdb://{self.running.home / 'chdb'}", self.workspace_id, start, end)
        self.store = self.running.store()
        self.profile = self.running.profile(self.ingest, self.store)

    async def _people(self) -> None:
        connection = await asyncpg.connect(asyncpg_dsn(self.running.profiles.owner_dsn))
        await connection.execute(_PEOPLE, self.workspace_id, PEOPLE)
        await connection.execute("ANALYZE")
        await connection.close()

    def timelines(self) -> list[float]:
        """Seconds for the first page of one person each."""
        choose, took = random.Random(5), []  # noqa: S311
        headers = user_headers("tracking", self.workspace_id)
        with httpx2.Client(base_url=self.store.url, headers=headers, timeout=60.0) as client:
            for _ in range(TIMELINES):
                value = f"person {choose.randrange(1, PEOPLE)}"
                with self.user() as user:
                    params = {"namespace": "user_id", "value": value}
                    found = user.get("/api/v1/profiles", params=params).raise_for_status().json()
                began = time.perf_counter()
                path = f"/api/v1/profiles/{found['items'][0]['id']}/events"
                page = client.get(path).raise_for_status().json()
                took.append(time.perf_counter() - began)
                assert page["items"][0]["user_id"] == value
        return took


def test_past(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        bench = Past(running)
        bench.make()
        took = bench.timelines()
        bench.add(TIMELINE_EVENTS, EVENTS)
        process, peak = psutil.Process(bench.profile.process.pid), 0
        postgres, cpu, began = running.postgres_cpu_seconds, bench.profile.cpu_seconds, time.time()
        store = bench.store.cpu_seconds
        with bench.user() as client:
            body = {"name": "Buyers", "rule": RULE}
            client.post("/api/v1/segments", json=body).raise_for_status()

        def segment() -> dict[str, Any]:
            nonlocal peak
            peak = max(peak, process.memory_info().rss)
            # Tokens do not live as long as this may take.
            with bench.user() as client:
                return bench.segments(client)[0]

        bench.wait(lambda: segment()["status"] == "ready", _READY_SECONDS)
        seconds = time.time() - began
        members = segment()["members"]
        figures = {
            "people": PEOPLE,
            "events": EVENTS,
            "timeline_events": TIMELINE_EVENTS,
            "timeline_p50_ms": round(1000 * statistics.median(took), 1),
            "timeline_p95_ms": round(1000 * statistics.quantiles(took, n=20)[-1], 1),
            "backfill_s": round(seconds, 1),
            "members": members,
            "profile_cpu_s": round(bench.profile.cpu_seconds - cpu, 1),
            "store_cpu_s": round(bench.store.cpu_seconds - store, 1),
            "postgres_cpu_s": round(running.postgres_cpu_seconds - postgres, 1),
            "peak_rss_mb": round(peak / 1e6),
        }
    with capsys.disabled():
        print(json.dumps({"bench": "past", "machine": before, **figures}))
