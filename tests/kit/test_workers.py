"""Background workers come back by themselves and are seen while they cannot work."""

import asyncio

import pytest

from services.kit import workers
from services.kit.problems import Unavailable
from services.kit.workers import Wake, Workers

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

    reason = ""
    async with asyncio.timeout(10):
        while not reason:
            try:
                team.check()
            except Unavailable as problem:
                reason = problem.detail
            await asyncio.sleep(0)
        assert reason == "frail: LookupError"
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


async def test_a_ring_at_the_moment_of_the_end_does_not_hide_the_end() -> None:
    wake = Wake()
    waiting = asyncio.create_task(wake.wait(60))
    for _ in range(3):
        await asyncio.sleep(0)
    wake.ring()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_ring_before_the_wait_is_not_missed() -> None:
    wake = Wake()
    wake.ring()
    await asyncio.wait_for(wake.wait(60), 1)
    await asyncio.wait_for(wake.wait(0.01), 1)


@pytest.mark.parametrize("turns", range(5))
async def test_a_worker_that_is_rung_just_before_it_is_stopped_ends(turns: int) -> None:
    wake, team = Wake(), Workers()
    waiting = asyncio.Event()

    async def run() -> None:
        while True:
            waiting.set()
            await wake.wait(60)

    team.start("rung", run)
    await waiting.wait()
    await asyncio.sleep(0)
    wake.ring()
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.wait_for(team.stop(), 5)
