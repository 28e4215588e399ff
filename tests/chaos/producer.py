"""A producer that behaves as SDKs do: it tries again until it is told that its events are kept."""

import asyncio
import heapq
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import httpx2

from tests.chaos.ledger import ACKNOWLEDGED, Ledger
from tests.chaos.stream import Request

CONNECTIONS = 32
_TIMEOUT_SECONDS = 15.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0


class Producer:
    """``with Producer(…) as producer:`` sends in a thread of its own; the block's end waits for
    the last answer, or makes it stop where the block failed."""

    def __init__(
        self,
        url: str,
        write_key: str,
        requests: Iterator[Request],
        *,
        connections: int = CONNECTIONS,
        think_seconds: float = 0.0,
    ) -> None:
        """``think_seconds``: how long a connection rests between two requests."""
        self.ledger = Ledger()
        self._url, self._key = url, write_key
        self._requests = requests
        self._connections = connections
        self._think_seconds = think_seconds
        self._again: list[tuple[int, int, Request]] = []
        self._newest = 0
        self._ending = self._stopped = False
        self._executor = ThreadPoolExecutor(1, "producer")
        self._done: Future[None]

    def __enter__(self) -> "Producer":
        self._done = self._executor.submit(lambda: asyncio.run(self._send_all()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.stop()
        self._executor.shutdown()
        if kind is None:
            self._done.result()

    @property
    def finished(self) -> bool:
        return self._done.done()

    def end(self) -> None:
        """Nothing new is sent from now on, but what was sent is carried to its acknowledgement."""
        self._ending = True

    def stop(self) -> None:
        """Nothing is sent from now on."""
        self._stopped = True

    async def _send_all(self) -> None:
        limits = httpx2.Limits(
            max_connections=self._connections, max_keepalive_connections=self._connections
        )
        async with (
            httpx2.AsyncClient(
                base_url=self._url,
                auth=(self._key, ""),
                headers={"Content-Type": "application/json"},
                timeout=_TIMEOUT_SECONDS,
                limits=limits,
                trust_env=False,
            ) as client,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(self._connections):
                tasks.create_task(self._work(client))

    async def _work(self, client: httpx2.AsyncClient) -> None:
        while not self._stopped and (request := self._next()) is not None:
            await self._deliver(client, request)
            await asyncio.sleep(self._think_seconds)

    def _next(self) -> Request | None:
        """A repetition that is due, else the next new request, else what is left to repeat."""
        if not self._again or self._again[0][0] > self._newest:
            request = None if self._ending else next(self._requests, None)
            if request is not None:
                self._newest = request.number
                self.ledger.sends(request)
                return request
        return heapq.heappop(self._again)[-1] if self._again else None

    async def _deliver(self, client: httpx2.AsyncClient, request: Request) -> None:
        repeated = self.ledger.knows(request)
        pause = _FIRST_PAUSE_SECONDS
        while not await self._acknowledged(client, request, pause):
            if request.abandoned or self._stopped:
                return
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        if request.repeat_at is not None and not repeated:
            heapq.heappush(self._again, (request.repeat_at, request.number, request))

    async def _acknowledged(
        self, client: httpx2.AsyncClient, request: Request, pause: float
    ) -> bool:
        """One try; where it fails, waits as long as the answer asked for, else ``pause``."""
        began = time.monotonic()
        try:
            answer = await client.post(request.path, content=request.body)
        except httpx2.TransportError as error:
            self.ledger.answered(request, type(error).__name__, began)
        else:
            self.ledger.answered(request, str(answer.status_code), began)
            if answer.status_code == ACKNOWLEDGED:
                return True
            asked = answer.headers.get("retry-after")
            self.ledger.without_retry_after += asked is None
            pause = float(asked or pause)
        await asyncio.sleep(0 if request.abandoned else pause)
        return False
