"""Who may go on to ingestion, and when: no workspace takes the others' room or makes them wait.

What a workspace has under way here is bounded, and beyond that its requests are turned away with
503, before their bodies are read if those say how long they are (429 would be the word, but some
clients drop events at it). Those let in pass in turns, one workspace after the other, and only so
many at a time as keep an ingest process busy: what waits there waits in one line, behind whoever
sends most.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from uuid import UUID

from services.kit.problems import Unavailable

MAX_REQUESTS, MAX_BYTES = 256, 16 * 1024 * 1024
"""Of a workspace under way: being read, waiting for a turn, or at ingest."""
WINDOW_REQUESTS, WINDOW_BYTES = 64, 512 * 1024
"""At an ingest process at a time: enough for commits of many requests, little to wait behind."""
ALWAYS = 4
"""So many may be there however large they are."""
WAIT_SECONDS = 5.0
"""For a turn, when ingestion is slower than what was let in; SDKs give up after 10 to 15."""
RETRY_AFTER_SECONDS = 1


@dataclass(slots=True)
class _UnderWay:
    requests: int = 0
    bytes: int = 0


class Admission:
    def __init__(self, processes: int) -> None:
        """``processes``: how many of ingest there are."""
        self._window = (WINDOW_REQUESTS * processes, WINDOW_BYTES * processes, ALWAYS * processes)
        self._under_way: dict[UUID, _UnderWay] = {}
        self._passing, self._passing_bytes = 0, 0
        self._lanes: OrderedDict[UUID, deque[tuple[asyncio.Future[None], int]]] = OrderedDict()

    @contextmanager
    def under_way(self, workspace_id: UUID, size: int) -> Iterator[Callable[[int], None]]:
        """Around all that is done for a request that announces ``size`` bytes; what it gives has to
        be told of its bytes as they come. Both raise ``Unavailable`` when there are too many. Only
        those that came are counted: a few clients that announce much and send nothing would have
        all the room. A single request always fits."""
        held = self._under_way.setdefault(workspace_id, _UnderWay())
        if held.requests and (held.requests >= MAX_REQUESTS or held.bytes + size > MAX_BYTES):
            raise _turned_away()
        held.requests += 1
        own = 0

        def came(more: int) -> None:
            nonlocal own
            if held.requests > 1 and held.bytes + more > MAX_BYTES:
                raise _turned_away()
            own += more
            held.bytes += more

        try:
            yield came
        finally:
            held.requests -= 1
            held.bytes -= own
            if not held.requests:
                del self._under_way[workspace_id]

    def turn(self, workspace_id: UUID, size: int) -> "Turn":
        """``async with``: entered when it is this request's turn."""
        return Turn(self, workspace_id, size)

    async def enter(self, workspace_id: UUID, size: int) -> None:
        """Returns when it is the workspace's turn; ``Unavailable`` when that takes too long."""
        if not self._lanes and self._fits(size):
            self._pass(size)
            return
        done = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(workspace_id, deque()).append((done, size))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await done
        except (asyncio.CancelledError, TimeoutError) as error:
            if not done.cancelled():
                # Its turn came at that very moment: somebody else's now.
                self.leave(size)
            if isinstance(error, TimeoutError):
                raise _turned_away() from error
            raise

    def leave(self, size: int) -> None:
        self._passing -= 1
        self._passing_bytes -= size
        while self._lanes:
            workspace_id, lane = next(iter(self._lanes.items()))
            done, next_size = lane[0]
            if not done.cancelled():
                if not self._fits(next_size):
                    return
                self._pass(next_size)
                done.set_result(None)
            lane.popleft()
            if lane:
                self._lanes.move_to_end(workspace_id)
            else:
                del self._lanes[workspace_id]

    def _fits(self, size: int) -> bool:
        requests, size_limit, always = self._window
        return self._passing < always or (
            self._passing < requests and self._passing_bytes + size <= size_limit
        )

    def _pass(self, size: int) -> None:
        self._passing += 1
        self._passing_bytes += size


def _turned_away() -> Unavailable:
    return Unavailable(
        "More requests of this workspace are under way than can be taken; try again shortly.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


class Turn:
    __slots__ = ("_admission", "_size", "_workspace_id")

    def __init__(self, admission: Admission, workspace_id: UUID, size: int) -> None:
        self._admission = admission
        self._workspace_id = workspace_id
        self._size = size

    async def __aenter__(self) -> None:
        await self._admission.enter(self._workspace_id, self._size)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._admission.leave(self._size)
