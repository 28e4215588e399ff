"""Background workers come back by themselves and are seen while they cannot work."""

import asyncio

import pytest

from services.kit.problems import Unavailable
from services.tracking import workers
from services.tracking.workers import Wake, Workers
from tests.tracking.service import eventually

pytestmark = pytest.mark.anyio


async def test_a_failed_worker_is_seen_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "FIRST_PAUSE_SECONDS", 0.05)
    starts = 0
    wanted = asyncio.Event()

    async def run() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise LookupError("defect")
        wanted.set()
        await asyncio.Event().wait()

    team = Workers()
    team.start("frail", run)

    async def seen_failing() -> bool:
        try:
            team.check()
        except Unavailable as problem:
            return "frail: LookupError" in problem.detail
        return False

    await eventually(seen_failing)
    await wanted.wait()
    team.check()
    await team.stop()


async def test_stopping_cancels_what_runs() -> None:
    ended = asyncio.Event()
    started = asyncio.Event()

    async def run() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    team = Workers()
    team.start("patient", run)
    await started.wait()
    await team.stop()
    assert ended.is_set()


async def test_a_ring_before_the_wait_is_not_missed() -> None:
    wake = Wake()
    wake.ring()
    await asyncio.wait_for(wake.wait(60), 1)
    await asyncio.wait_for(wake.wait(0.01), 1)


async def test_a_ring_at_the_moment_of_stopping_keeps_no_worker() -> None:
    wake, waiting = Wake(), asyncio.Event()

    async def run() -> None:
        while True:
            waiting.set()
            await wake.wait(60)

    team = Workers()
    team.start("rung", run)
    await waiting.wait()
    wake.ring()
    async with asyncio.timeout(5):
        await team.stop()
