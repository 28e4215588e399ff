"""The eraser: takes every open erasure a step further, until its certificate is written."""

import asyncio

import structlog

from services.kit.clickhouse import ClickHouseError
from services.kit.problems import Unavailable
from services.kit.workers import Wake, Workers
from services.tracking.erasure import steps, store
from services.tracking.erasure.steps import Resources, Task
from services.tracking.erasure.store import Open
from services.tracking.erasure.verify import verify

log = structlog.get_logger(__name__)

NAME = "erasures"
_WAITING_SECONDS = 1.0
_IDLE_SECONDS = 10.0


class Eraser:
    """One per store process. ``rest_seconds``: at least so long after a purge comes the next."""

    def __init__(
        self, resources: Resources, wake: Wake, workers: Workers, rest_seconds: float
    ) -> None:
        self._resources = resources
        self._wake = wake
        self._workers = workers
        self._rest_seconds = rest_seconds
        self._purged_at: float | None = None

    async def run(self) -> None:
        while True:
            try:
                left = await self.advance()
            except (ClickHouseError, Unavailable) as error:
                self._workers.failed(NAME, f"an erasure waits ({type(error).__name__})")
                log.warning("erasure_waits", error=str(error)[:300])
                left = 1
            else:
                self._workers.recovered(NAME)
            await self._wake.wait(_WAITING_SECONDS if left else _IDLE_SECONDS)

    async def advance(self) -> int:
        """Every open erasure as far as it can go now; how many are still open."""
        async with self._resources.maker.begin() as session:
            found = await store.open_erasures(session)
        if not found:
            return 0
        for each in found:
            await self._rewrite(each)
        await self._purge()
        for each in await self._in_state("purged"):
            await verify(self._resources, await self._task(each))
        async with self._resources.maker.begin() as session:
            return len(await store.open_erasures(session))

    async def _rewrite(self, each: Open) -> None:
        if each.state == "suppressed" and not await steps.hide(
            self._resources, await self._task(each)
        ):
            return
        if each.state in ("suppressed", "hidden"):
            await steps.rewrite(self._resources, await self._task(each))

    async def _purge(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._purged_at is not None and now < self._purged_at + self._rest_seconds:
            return
        tasks = [await self._task(each) for each in await self._in_state("rewritten")]
        if tasks and await steps.purge(self._resources, tasks):
            self._purged_at = now

    async def _in_state(self, state: str) -> list[Open]:
        async with self._resources.maker.begin() as session:
            return [each for each in await store.open_erasures(session) if each.state == state]

    async def _task(self, each: Open) -> Task:
        return await steps.load(self._resources, each)
