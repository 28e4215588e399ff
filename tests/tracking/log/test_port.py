"""What every log promises, whichever is behind the port."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kit.feeds import pack, unpack
from services.kit.problems import Unavailable
from services.tracking.log import commit
from services.tracking.log.commit import asyncpg_dsn
from services.tracking.log.kafka import append as kafka_append
from services.tracking.log.port import (
    Append,
    Log,
    LogAppender,
    Quarantined,
    events_partition,
    outcomes_partition,
)
from tests.support.kafka import Brokers
from tests.tracking.service import Tracking, each_log, eventually

pytestmark = [pytest.mark.anyio, each_log]

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('log:' || $1, 0))"


@dataclass
class Opened:
    """A log with one appender and one reader."""

    appender: LogAppender
    log: Log
    workspace_id: UUID

    async def append(self, *names: str) -> None:
        await self.appender.append(entry(self.workspace_id, *names))

    async def read(
        self, after: int = 0, until: int | None = None, rows: int = 1000, size: int = 1 << 62
    ) -> list[int]:
        """The offsets of a page."""
        name = events_partition(self.workspace_id)
        end = (await self.log.ends())[name] if until is None else until
        return [row.offset for row in await self.log.read(name, after, end, rows=rows, size=size)]


@pytest.fixture
async def opened(tracking: Tracking) -> AsyncIterator[Opened]:
    async with tracking.appender() as appender, tracking.log() as (_, log):
        yield Opened(appender, log, tracking.workspace_id)


def entry(workspace_id: UUID, *names: str) -> Append:
    return Append(workspace_id, events_partition(workspace_id), len(names), pack(names))


async def test_what_was_appended_is_there_in_its_order(opened: Opened) -> None:
    before = time.time_ns() // 1_000_000
    await opened.append("a", "b")
    await opened.append("c")
    outcomes = outcomes_partition(opened.workspace_id)
    await opened.appender.append(Append(opened.workspace_id, outcomes, 1, pack(["d"])))
    name = events_partition(opened.workspace_id)
    assert await opened.log.ends() == {name: 2, outcomes: 1}
    rows = await opened.log.read(name, 0, 2, rows=10, size=1 << 62)
    assert [(r.offset, r.count, unpack(r.data, str), r.drop) for r in rows] == [
        (1, 2, ["a", "b"], None),
        (2, 1, ["c"], None),
    ]
    assert before <= rows[0].at <= rows[1].at <= time.time_ns() // 1_000_000
    assert await opened.log.appended_at_ms(name, 2) == rows[1].at
    assert [await opened.log.appended_at_ms(name, offset) for offset in (0, 3)] == [None, None]


async def test_offsets_are_dense_and_nothing_turns_up_behind_a_reader(tracking: Tracking) -> None:
    workspaces = [uuid4(), uuid4()]
    seen: dict[str, list[int]] = {events_partition(each): [] for each in workspaces}
    names: dict[str, list[str]] = {name: [] for name in seen}
    done = asyncio.Event()

    async def follow(log: Log) -> None:
        while True:
            finished = done.is_set()
            for name, end in (await log.ends()).items():
                after = len(seen[name])
                for row in await log.read(name, after, end, rows=50, size=1 << 62):
                    seen[name].append(row.offset)
                    names[name] += unpack(row.data, str)
            if finished and all(len(offsets) == 180 for offsets in seen.values()):
                return

    async with (
        tracking.appender() as one,
        tracking.appender() as two,
        tracking.appender() as three,
        tracking.log() as (_, log),
    ):
        following = asyncio.create_task(follow(log))
        await asyncio.gather(
            *(
                appender.append(entry(workspace, f"{number}/{index}"))
                for number in range(60)
                for index, appender in enumerate((one, two, three))
                for workspace in workspaces
            )
        )
        done.set()
        await asyncio.wait_for(following, 30)
    assert {tuple(offsets) for offsets in seen.values()} == {tuple(range(1, 181))}
    wanted = sorted(f"{number}/{index}" for number in range(60) for index in range(3))
    assert [sorted(each) for each in names.values()] == [wanted, wanted]


async def test_a_page_is_bounded_by_rows_and_bytes_and_holds_at_least_one(opened: Opened) -> None:
    for number in range(6):
        await opened.append(f"{number}" * 40)
    (row, *_) = await opened.log.read(str(opened.workspace_id), 0, 1, rows=1, size=0)
    size = len(row.data)
    assert await opened.read(rows=4) == [1, 2, 3, 4]
    assert await opened.read(after=4, rows=4) == [5, 6]
    assert await opened.read(after=1, until=3) == [2, 3]
    assert await opened.read(size=3 * size + 1) == [1, 2, 3]
    assert await opened.read(after=3, size=2 * size) == [4, 5]
    assert await opened.read(after=5, size=0) == [6]
    # A reader at the end goes on where it was.
    await opened.append("more")
    assert await opened.read(after=6) == [7]


async def test_a_workspace_sees_the_ends_of_its_own_partitions(opened: Opened) -> None:
    other = uuid4()
    await opened.append("a")
    await opened.appender.append(entry(other, "b"))
    assert await opened.log.ends(other) == {events_partition(other): 1}
    assert await opened.log.ends(uuid4()) == {}
    assert len(await opened.log.ends()) == 2


async def test_who_watches_hears_of_appends(opened: Opened) -> None:
    rung = asyncio.Event()
    watching = asyncio.create_task(opened.log.watch(rung.set))
    await asyncio.wait_for(rung.wait(), 10)
    for name in "ab":
        rung.clear()
        await opened.append(name)
        await asyncio.wait_for(rung.wait(), 10)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_refused_events_are_kept_with_the_row_and_without_one(
    tracking: Tracking, opened: Opened
) -> None:
    workspace = tracking.workspace_id
    bad = Quarantined(workspace, "web", "invalid", "#/batch/1", "It is bad.", b"{}")
    name = events_partition(workspace)
    await opened.appender.append(Append(workspace, name, 1, pack(["good"]), [bad]))
    await opened.appender.append(Append(workspace, name, 0, b"", [bad]))
    assert await tracking.quarantined() == [("invalid", "#/batch/1")] * 2
    assert await opened.log.ends() == {name: 1}


Silence = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def silence(
    tracking: Tracking, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Silence:
    """While it lasts the log takes no rows of the workspace; appends wait two seconds for it."""
    monkeypatch.setattr(commit, "COMMIT_SECONDS", 2.0)
    monkeypatch.setattr(kafka_append, "DELIVERY_MS", 2000)

    @asynccontextmanager
    async def postgres() -> AsyncIterator[None]:
        blocker = await asyncpg.connect(asyncpg_dsn(tracking.database.app_dsn))
        async with blocker.transaction():
            await blocker.execute(_LOCK, str(tracking.workspace_id))
            yield
        await blocker.close()

    @asynccontextmanager
    async def kafka() -> AsyncIterator[None]:
        brokers: Brokers = request.getfixturevalue("brokers")
        with brokers.silent():
            yield

    return postgres if tracking.log_dsn is None else kafka


async def test_what_an_outage_leaves_unanswered_is_refused_and_the_rest_is_there(
    tracking: Tracking, silence: Silence
) -> None:
    acknowledged: list[str] = []

    async def client(appender: LogAppender, number: int, steps: range) -> None:
        for step in steps:
            try:
                await appender.append(entry(tracking.workspace_id, f"{number}:{step}"))
            except Unavailable:
                continue
            acknowledged.append(f"{number}:{step}")

    async def clients(steps: range) -> None:
        await asyncio.gather(*(client(appender, number, steps) for number in range(8)))

    async with tracking.appender() as appender:
        await clients(range(3))
        assert len(acknowledged) == 24
        async with silence():
            await clients(range(3, 4))
        assert len(acknowledged) == 24
        await eventually(lambda: _answers(appender, tracking), what="the log")
        await clients(range(4, 7))
    stored = await tracking.rows()
    assert [row.offset for row in stored] == list(range(1, len(stored) + 1))
    assert len(acknowledged) == 48
    assert set(acknowledged) <= {name for row in stored for name in unpack(row.data, str)}


async def _answers(appender: LogAppender, tracking: Tracking) -> bool:
    try:
        await appender.append(entry(tracking.workspace_id, "again"))
    except Unavailable:
        return False
    return True


async def test_what_waits_when_the_process_stops_is_told_so(
    tracking: Tracking, silence: Silence
) -> None:
    async with tracking.appender() as appender:
        await appender.append(entry(tracking.workspace_id, "x"))
    async with silence():
        async with tracking.appender() as appender:
            waiting = asyncio.create_task(appender.append(entry(tracking.workspace_id, "y")))
            await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await waiting
