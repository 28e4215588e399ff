"""Whose request goes to ingestion next: workspaces take turns, so that none crowds out another.

What is in flight is bounded, so the queue is here and not in the service, where the requests of
all are one. A workspace that sends faster than it is served waits for itself alone, and is told to
come back once it waits with too much or for too long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from gateway.errors import TooManyRequests

IN_FLIGHT_BYTES = 512 * 1024
"""More does not make one process of ingestion faster; a request of another workspace waits for so
much at most, some tens of milliseconds."""
REQUEST_BYTES = 8 * 1024
"""What a request costs beside its body: some sixty single events are in flight at once."""
WAITING_BYTES = 16 * 1024 * 1024
"""Of a workspace."""
WAITING_REQUESTS = 500
WAIT_SECONDS = 5.0
"""SDKs give up after 10 to 15 seconds."""


@dataclass(eq=False, slots=True)
class _Waiter:
    cost: int
    granted: asyncio.Future[None]


@dataclass(slots=True)
class _Queue:
    waiters: deque[_Waiter] = field(default_factory=deque)
    bytes: int = 0


class Turns:
    """One per service behind the gateway."""

    def __init__(self, in_flight_bytes: int = IN_FLIGHT_BYTES) -> None:
        self._room = in_flight_bytes
        self._in_flight = 0
        self._queues: dict[UUID, _Queue] = {}
        """Only of workspaces that wait, in the order of their turns."""

    def check(self, workspace_id: UUID) -> None:
        """``TooManyRequests`` when the workspace waits with as much as it may: ask before a body
        is read into memory."""
        queue = self._queues.get(workspace_id)
        if queue and (queue.bytes > WAITING_BYTES or len(queue.waiters) >= WAITING_REQUESTS):
            raise TooManyRequests

    @asynccontextmanager
    async def turn(self, workspace_id: UUID, size: int) -> AsyncIterator[None]:
        """The block is entered when it is the workspace's turn; ``size``: of the body, in bytes.

        Raises ``TooManyRequests``.
        """
        cost = size + REQUEST_BYTES
        if self._queues or not self._fits(cost):
            await self._wait(workspace_id, cost)
        else:
            self._in_flight += cost
        try:
            yield
        finally:
            self._release(cost)

    def _fits(self, cost: int) -> bool:
        return not self._in_flight or self._in_flight + cost <= self._room

    async def _wait(self, workspace_id: UUID, cost: int) -> None:
        self.check(workspace_id)
        queue = self._queues.setdefault(workspace_id, _Queue())
        waiter = _Waiter(cost, asyncio.get_running_loop().create_future())
        queue.waiters.append(waiter)
        queue.bytes += cost
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await waiter.granted
        except TimeoutError as error:
            self._withdraw(workspace_id, waiter)
            raise TooManyRequests from error
        except asyncio.CancelledError:
            self._withdraw(workspace_id, waiter)
            raise

    def _withdraw(self, workspace_id: UUID, waiter: _Waiter) -> None:
        if waiter.granted.cancelled():
            queue = self._queues[workspace_id]
            queue.waiters.remove(waiter)
            queue.bytes -= waiter.cost
            if not queue.waiters:
                del self._queues[workspace_id]
            self._admit()
        else:
            # Its turn came in the very moment in which it gave up.
            self._release(waiter.cost)

    def _release(self, cost: int) -> None:
        self._in_flight -= cost
        self._admit()

    def _admit(self) -> None:
        while self._queues:
            workspace_id = next(iter(self._queues))
            queue = self._queues[workspace_id]
            waiter = queue.waiters[0]
            # One that has just given up is withdrawn by its own task, which then comes here.
            if waiter.granted.cancelled() or not self._fits(waiter.cost):
                return
            queue.waiters.popleft()
            queue.bytes -= waiter.cost
            self._in_flight += waiter.cost
            waiter.granted.set_result(None)
            # To the end of the line, if it goes on waiting.
            del self._queues[workspace_id]
            if queue.waiters:
                self._queues[workspace_id] = queue
