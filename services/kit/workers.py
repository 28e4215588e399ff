"""Background workers of a process: restarted when they fail, seen in its readiness."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.kit.problems import Unavailable
from services.kit.waiting import came

log = structlog.get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0


class Wake:
    """A doorbell for one worker: rings between two waits are remembered as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Returns when rung, or after ``seconds``."""
        try:
            await came(self._event, seconds)
        finally:
            self._event.clear()


class Workers:
    """Runs each worker in a task of its own until ``stop``."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._failures: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._supervise(name, run), name=name))

    def failed(self, name: str, reason: str) -> None:
        """A worker that goes on by itself tells that it cannot work now."""
        self._failures[name] = reason

    def recovered(self, name: str) -> None:
        self._failures.pop(name, None)

    def check(self) -> None:
        """Raises ``Unavailable`` naming the workers that cannot work; for ``/readyz``."""
        if self._failures:
            raise Unavailable("; ".join(f"{n}: {r}" for n, r in sorted(self._failures.items())))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE_SECONDS
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            # A task of its own: its failure, whatever it is, is looked at and not caught.
            task = asyncio.ensure_future(run())
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                raise
            failure = None if task.cancelled() else task.exception()
            if loop.time() - started > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self.failed(name, type(failure).__name__)
            log.error("worker_failed", worker=name, pause_seconds=pause, exc_info=failure)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            self.recovered(name)
