"""The journey engine: people advanced with a million waiting, and a million timers in a minute.

Prints one JSON line per benchmark.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import psutil
import pytest

from services.orchestrator import workers
from services.orchestrator.engine.execute import execute
from services.orchestrator.main import create_app
from services.orchestrator.times import from_ms, system_clock
from services.tracking.log.commit import asyncpg_dsn
from tests.bench import bare_advance, stack
from tests.orchestrator.conftest import client_of, settings
from tests.orchestrator.neighbours import Neighbours
from tests.support.app import user_headers
from tests.support.postgres import Database

WAITING, DUE = 1_000_000, 300_000
TIMERS, WITHIN_MS = 1_000_000, 60_000
LONG = 30 * 86_400
GRAPH = {
    "name": "Bench",
    "entry": {"kind": "api", "entry_mode": "after_exit", "next": "first"},
    "nodes": [
        {"id": "first", "type": "delay", "seconds": 60, "next": "split"},
        {
            "id": "split",
            "type": "split",
            "arms": [
                {"id": "a", "weight": 1, "next": "second"},
                {"id": "b", "weight": 1, "next": "third"},
            ],
        },
        {"id": "second", "type": "delay", "seconds": LONG, "next": "end"},
        {"id": "third", "type": "delay", "seconds": LONG, "next": "end"},
        {"id": "end", "type": "exit"},
    ],
}
_PEOPLE = """
INSERT INTO participant (id, workspace_id, journey_id, version_id, profile_id, instance_key,
    ledger_key, rotation, trigger, entered_at, state, node, visit, arrived_at, due_at, awaits, best,
    run_at, context, fence)
SELECT gen_random_uuid(), $1, $2, $3, gen_random_uuid(), '', '', 1, jsonb_build_object('at', 0),
    entered, 'waiting', 'first', 1, entered, due, false, -1, due, '{}', 0
FROM (SELECT CAST($4 AS timestamptz) AS entered) AS e, generate_series(1, $5) AS n, LATERAL (
    SELECT CASE WHEN n <= $6 THEN entered ELSE entered + interval '30 days' END AS due) AS d
ORDER BY random()
"""


@dataclass
class Bench:
    engine: workers.Engine
    workspace: workers.Workspace
    database: asyncpg.Connection
    journey_id: UUID
    version_id: UUID
    peak: int = 0

    async def drain(self) -> tuple[int, list[tuple[float, int]]]:
        """Execute until nobody is due; how many, and when each block was done."""
        process, done = psutil.Process(), 0
        finished: list[tuple[float, int]] = []
        while True:
            claimed = await execute(
                self.engine.executor,
                self.workspace.id,
                now=self.engine.clock(),
                known_until=self.engine.clock(),
            )
            self.peak = max(self.peak, process.memory_info().rss)
            if not claimed:
                return done, finished
            done += claimed
            finished.append((time.time(), claimed))


@asynccontextmanager
async def benching(database: Database) -> AsyncIterator[Bench]:
    neighbours, workspace_id = Neighbours(), uuid4()
    neighbours.ready(3, "warn")
    async with neighbours.serving():
        app = create_app(settings(database, neighbours.url), clock=system_clock, background=False)
        async with app.router.lifespan_context(app) as state:
            shared: dict[str, Any] = dict(state or {})
            headers = user_headers("orchestrator", workspace_id)
            async with client_of(app, shared, headers) as client:
                made = (await client.post("/api/v1/journeys", json={"graph": GRAPH})).json()
                published = await client.post(f"/api/v1/journeys/{made['id']}/publish", json={})
                version_id = UUID(published.raise_for_status().json()["version"]["id"])
            connection = await asyncpg.connect(asyncpg_dsn(database.owner_dsn))
            engine, workspace = shared["workers"].engine, workers.Workspace(workspace_id)
            yield Bench(engine, workspace, connection, UUID(made["id"]), version_id)
            await connection.close()


async def _advance(database: Database) -> dict[str, Any]:
    async with benching(database) as bench:
        now = from_ms(system_clock())
        ids = bench.workspace.id, bench.journey_id, bench.version_id
        await bench.database.execute(_PEOPLE, *ids, now, WAITING, DUE)
        await bench.database.execute("VACUUM ANALYZE participant")
        await bare_advance.stage(bench.database)
        began = time.perf_counter()
        advanced, _ = await bench.drain()
        seconds = time.perf_counter() - began
        assert advanced == DUE
        told = await bench.database.fetchrow(
            "SELECT sum(count) AS outcomes, sum(length(data)) AS bytes FROM outbox"
        )
        began = time.perf_counter()
        while await workers.tell_once(bench.engine, bench.workspace):
            pass
        telling = time.perf_counter() - began
        later = from_ms(system_clock())
        bytes_each = told["bytes"] / advanced
        bare, bare_seconds = await bare_advance.advance(
            bench.database, bench.workspace.id, later, bench.engine.executor.block, bytes_each
        )
        assert bare == DUE
        return {
            "waiting": WAITING,
            "advanced": advanced,
            "transitions": told["outcomes"],
            "seconds": round(seconds, 1),
            "transitions_s": round(told["outcomes"] / seconds),
            "people_s": round(advanced / seconds),
            "bare_people_s": round(bare / bare_seconds),
            "of_bare": round((advanced / seconds) / (bare / bare_seconds), 2),
            "outcomes_told_s": round(telling, 1),
            "peak_rss_mb": round(bench.peak / 1e6),
        }


async def _timers(database: Database) -> dict[str, Any]:
    async with benching(database) as bench:
        # What the engine looks at comes first once it is due; until then it finds nothing.
        start = system_clock() + 45_000
        ids = bench.workspace.id, bench.journey_id, bench.version_id
        await bench.database.execute(_PEOPLE, *ids, from_ms(start), TIMERS, TIMERS)
        await bench.database.execute(
            "UPDATE participant SET run_at = run_at + random() * $1 * interval '1 ms', "
            "due_at = due_at",
            WITHIN_MS,
        )
        await bench.database.execute("UPDATE participant SET due_at = run_at")
        await bench.database.execute("VACUUM ANALYZE participant")
        left, finished = TIMERS, list[tuple[float, int]]()
        while left:
            done, blocks = await bench.drain()
            left -= done
            finished += blocks
            if not done:
                await asyncio.sleep(0.05)
        rows = await bench.database.fetch(
            "SELECT node, visit, count(*) AS n, min(arrived_at - entered_at) AS early "
            "FROM participant GROUP BY node, visit"
        )
        assert sum(row["n"] for row in rows) == TIMERS
        assert {row["visit"] for row in rows} == {3}, "somebody was moved twice, or not at all"
        late, bound = _lateness(finished, start / 1000)
        return {
            "timers": TIMERS,
            "drained_after_s": round(finished[-1][0] - start / 1000, 1),
            "timers_s": round(bound),
            "late_beyond_throughput_p99_s": round(statistics.quantiles(late, n=100)[-1], 2),
            "peak_rss_mb": round(bench.peak / 1e6),
        }


def _lateness(finished: list[tuple[float, int]], start: float) -> tuple[list[float], float]:
    """Of each block's last timer, how much later it fired than a queue of this speed would have it;
    and the speed."""
    speed = TIMERS / sum(b - a for (a, _), (b, _) in pairwise(finished) if b - a < 5)
    late, done, free = [], 0, start
    for at, count in finished:
        due = start + (done + count) / TIMERS * WITHIN_MS / 1000
        free = max(free, due - count / speed) + count / speed
        late.append(max(0.0, at - free))
        done += count
    return late, speed


@pytest.mark.parametrize("bench", [_advance, _timers], ids=["advance", "timers"])
def test_engine(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stack.machine()
    with stack.running(tmp_path) as running:
        figures = asyncio.run(bench(running.server.create("orchestrator")))
    with capsys.disabled():
        print(json.dumps({"bench": bench.__name__[1:], "machine": before, **figures}))
