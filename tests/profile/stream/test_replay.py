"""The log read again gives byte-equal profiles, also by a process that is killed in between."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.events import Event
from services.profile.main import create_app
from tests.profile.clock import FakeClock
from tests.profile.conftest import settings
from tests.profile.stream.test_worker import query
from tests.profile.tracking import FakeTracking, event
from tests.support.app import running, signing_key, trusted_keys
from tests.support.instance import REPOSITORY
from tests.support.postgres import Database, NewDatabase
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NOON = 1_700_000_000_000
TABLES = ("profile", "identifier", "alias", "merge", "conflict", "consent", "consent_line")
"""Of ledgers, ids of rows are left out: they are random."""
_DUMP = """
SELECT (to_jsonb(t) - CAST(ARRAY['merge_id', 'conflict_id'] AS text[]))::text
FROM {} AS t ORDER BY 1
"""


def past(workspace_id: UUID, count: int) -> list[Event]:
    """Events of some twenty people: links, merges, conflicts, traits and consents, some late."""
    choose = random.Random(7)  # noqa: S311
    events = []
    for number in range(count):
        named = [
            (namespace, f"{letter}{choose.randrange(size)}@x.org")
            for namespace, letter, size, chance in (
                ("user_id", "u", 20, 0.4),
                ("email", "m", 15, 0.3),
                ("anonymous_id", "a", 60, 0.8),
            )
            if choose.random() < chance
        ]
        purpose = {"news": choose.random() < 0.5}
        events.append(
            event(
                workspace_id,
                *(named or [("anonymous_id", f"a{number}")]),
                type="identify",
                at=NOON + choose.randrange(10**6),
                traits={f"t{choose.randrange(6)}": choose.randrange(9)},
                context={"consent": {"categoryPreferences": purpose}},
            )
        )
    return events


async def dump(database: Database) -> dict[str, list[str]]:
    return {t: [row[0] for row in await query(database, _DUMP.format(t))] for t in TABLES}


async def applied(database: Database, offset: int) -> None:
    """Waits until the log is applied up to ``offset``."""

    def look() -> bool:
        return asyncio.run(query(database, "SELECT max(log_offset) FROM consumer")) == [(offset,)]

    await asyncio.to_thread(until, look, within=60, what=f"row {offset} is applied")


@asynccontextmanager
async def process(
    database: Database, tracking: FakeTracking
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as it runs in production, killed at the end."""
    own = {
        "PROFILE_POSTGRES_DSN": database.app_dsn,
        "PROFILE_SIGNING_KEY": signing_key("profile"),
        "PROFILE_TRUSTED_KEYS": msgspec.json.encode(trusted_keys()).decode(),
        "PROFILE_TRACKING_STORE_URL": tracking.url,
        "PROFILE_TRACKING_INGEST_URL": tracking.url,
        "PROFILE_ORCHESTRATOR_URL": tracking.url,
        "PROFILE_LINK_KEY": "a key of this test run",
        "PROFILE_ERASURE_KEY": "a key of this test run",
        "PROFILE_DISCOVERY_SECONDS": "0.05",
        "PROFILE_BLOCK_ROWS": "20",
    }
    command = ("-m", "uvicorn", "services.profile.main:create_app", "--factory", "--port", "0")
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=REPOSITORY,
        env={**os.environ, **own},  # noqa: TID251 - handed on, not read
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGKILL)
        await started.wait()


def append(tracking: FakeTracking, workspace_id: UUID, events: list[Event]) -> int:
    offset = 0
    for start in range(0, len(events), 5):
        offset = tracking.append(workspace_id, *events[start : start + 5])
    return offset


async def test_the_whole_log_read_anew_gives_byte_equal_profiles(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock
) -> None:
    workspace_id = uuid4()
    end = append(tracking, workspace_id, past(workspace_id, 300))
    dumps: list[Any] = []
    for block_rows in (1, 7, 200):
        home = database("profile")
        how = settings(home, tracking).model_copy(update={"block_rows": block_rows})
        async with running(create_app(how, clock)):
            await applied(home, end)
        dumps.append(await dump(home))
    assert dumps[0] == dumps[1] == dumps[2]
    assert min(len(rows) for rows in dumps[0].values()) > 5, "the log says too little"


async def test_a_process_killed_in_the_middle_of_a_block_leaves_nothing_of_it_and_none_out(
    database: NewDatabase, tracking: FakeTracking, clock: FakeClock
) -> None:
    workspace_id = uuid4()
    events = past(workspace_id, 300)
    killed, whole = database("profile"), database("profile")
    half = append(tracking, workspace_id, events[:150])
    owner = create_async_engine(killed.owner_dsn)
    async with process(killed, tracking) as victim:
        await applied(killed, half)
        before = await dump(killed)
        async with owner.begin() as connection:
            # The feed is what a block writes last: it stops there, with everything else written.
            await connection.execute(text("LOCK TABLE feed IN ACCESS EXCLUSIVE MODE"))
            end = append(tracking, workspace_id, events[150:])
            await asyncio.to_thread(until, lambda: waiting(killed), within=60, what="a block stops")
            victim.send_signal(signal.SIGKILL)
            await victim.wait()
    await owner.dispose()
    assert await dump(killed) == before
    async with process(killed, tracking):
        await applied(killed, end)
    async with running(create_app(settings(whole, tracking), clock)):
        await applied(whole, end)
    assert await dump(killed) == await dump(whole)
    told = "SELECT sum(count) FROM feed"
    assert await query(killed, told) >= [(len(events),)]


def waiting(database: Database) -> bool:
    """Whether a statement of the service waits for the table that is locked."""
    sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'feed'::regclass"
    return asyncio.run(query(database, sql)) != [(0,)]
