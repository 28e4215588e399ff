"""One workspace of people, events and segments on tracking and profile, for the benchmarks."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2

from services.tracking.log.commit import asyncpg_dsn
from tests.bench.stack import Stack
from tests.support.app import user_headers

SEGMENTS = 50
BATCH = 500
KINDS = 30
"""Names of events; segments read some of them."""
_LOOK_SECONDS = 0.1
_READY_SECONDS = 120.0


def batches(count: int, people: int, seed: int) -> Iterator[str]:
    """Bodies of ``BATCH`` events of random people: one in twenty an identify with traits."""
    choose = random.Random(seed)  # noqa: S311
    run = uuid4().hex[:12]
    for start in range(0, count, BATCH):
        yield json.dumps(
            {"batch": [event(choose, people, f"{run}-{start + n}") for n in range(BATCH)]}
        )


def event(choose: random.Random, people: int, message_id: str) -> dict[str, Any]:
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
