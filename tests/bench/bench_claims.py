"""What policies cost where a sender claims messages: the same claims with and without them.

Prints one JSON line. The workspaces take turns claim by claim, so that all see the same machine.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.orchestrator.delivery import sender
from services.orchestrator.delivery.sender import Sender
from services.orchestrator.main import create_app
from services.orchestrator.times import from_ms, system_clock
from services.tracking.log.commit import asyncpg_dsn
from tests.bench import stack
from tests.orchestrator.conftest import client_of, settings
from tests.orchestrator.neighbours import Neighbours
from tests.support.app import user_headers
from tests.support.postgres import Database

MESSAGES = 20_000
"""Per workspace; every person gets two, of two journeys."""
CAPS = [
    {"name": "daily", "limit": 5, "calendar": "day"},
    {"name": "weekly", "limit": 10, "rolling_seconds": 604_800, "per": "address"},
]
# The people live where it is noon.
QUIET = {"start": "21:00", "end": "08:00"}
POLICIES: dict[str, dict[str, Any] | None] = {
    "none": None,
    "quiet": {"quiet_hours": QUIET},
    "caps": {"caps": CAPS},
    "arbiter": {"arbiter": {"window_seconds": 60, "others": "skip"}},
    "all": {"quiet_hours": QUIET, "caps": CAPS, "arbiter": {"window_seconds": 60}},
}
LEFT = {"none": 1.0, "quiet": 1.0, "caps": 1.0, "arbiter": 0.5, "all": 0.5}
"""The share of messages that is sent."""

_GATE = """
INSERT INTO send_gate (workspace_id, subject, purpose, channel, contact_point, state, at)
SELECT DISTINCT workspace_id, profile_id::text, 'marketing', '*', '*', 'granted', created_at
FROM message WHERE workspace_id = $1
"""
_JOURNEYS = """
INSERT INTO journey (id, workspace_id, name, state, key, draft, draft_revision)
SELECT id, $1, 'Bench', 'live', 'bench-' || id, '{}', 1 FROM unnest($2::uuid[]) AS id
"""
_MESSAGES = """
INSERT INTO message (workspace_id, id, participant_id, node, visit, channel_id, channel_type,
    journey_id, profile_id, purpose, required, presumed, contact, content, state, attempts, fence,
    run_at, zone, priority, created_at)
SELECT $1, gen_random_uuid(), gen_random_uuid(), 'mail', 1, $2, 'email', ($3::uuid[])[1 + half],
    person, 'marketing', '{marketing}', '{}', person || '@example.com', '{}', 'queued', 0, 0,
    $4::timestamptz, $5, 50 + half, $4::timestamptz - interval '2 minutes'
FROM (SELECT gen_random_uuid() AS person FROM generate_series(1, $6)) AS people,
    generate_series(0, 1) AS half
ORDER BY random()
"""


@asynccontextmanager
async def _sender(database: Database, now: int) -> AsyncIterator[tuple[Sender, dict[str, UUID]]]:
    """A sender, and a workspace for each of the policies."""
    neighbours, found = Neighbours(), {name: uuid4() for name in POLICIES}
    async with neighbours.serving():
        # A clock that stands: no lease ends.
        app = create_app(settings(database, neighbours.url), clock=lambda: now, background=False)
        async with app.router.lifespan_context(app) as state:
            shared: dict[str, Any] = dict(state or {})
            for name, document in POLICIES.items():
                headers = user_headers("orchestrator", found[name])
                if document is not None:
                    body = {"version": 0, "document": {"default_zone": "UTC", **document}}
                    async with client_of(app, shared, headers) as client:
                        answer = await client.put("/api/v1/policies", json=body)
                        answer.raise_for_status()
            yield shared["workers"].engine.sender, found


async def _fill(database: Database, workspaces: dict[str, UUID], now: int) -> None:
    connection = await asyncpg.connect(asyncpg_dsn(database.owner_dsn))
    hours = (12 - from_ms(now).hour + 11) % 24 - 11
    # Zones of this family have the sign turned: Etc/GMT-8 is eight hours ahead.
    zone = f"Etc/GMT{-hours:+d}" if hours else "UTC"
    for workspace_id in workspaces.values():
        journeys = [uuid4(), uuid4()]
        await connection.execute(_JOURNEYS, workspace_id, journeys)
        at, people = from_ms(now), MESSAGES // 2
        await connection.execute(_MESSAGES, workspace_id, uuid4(), journeys, at, zone, people)
        await connection.execute(_GATE, workspace_id)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def _claims(database: Database) -> dict[str, Any]:
    now = system_clock()
    spent: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    looked: Counter[str] = Counter()
    async with _sender(database, now) as (claimer, workspaces):
        await _fill(database, workspaces, now)
        for _ in range(MESSAGES // sender.BATCH):
            for name, workspace_id in workspaces.items():
                began = time.perf_counter_ns()
                ids, claims, _ = await claimer._claim(workspace_id)
                spent[name] += time.perf_counter_ns() - began
                looked[name] += len(ids)
                claimed[name] += len(claims)
    assert dict(looked) == dict.fromkeys(POLICIES, MESSAGES)
    assert dict(claimed) == {name: share * MESSAGES for name, share in LEFT.items()}
    return {
        "messages": MESSAGES,
        "batch": sender.BATCH,
        "us_each": {name: round(ns / MESSAGES / 1_000) for name, ns in spent.items()},
        "of_none": {name: round(ns / spent["none"], 2) for name, ns in spent.items()},
    }


def test_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    machine = stack.machine()
    with stack.running(tmp_path) as running:
        found = asyncio.run(_claims(running.server.create("orchestrator")))
    with capsys.disabled():
        print(json.dumps({"bench": "claims under policies", **found, **machine}))
