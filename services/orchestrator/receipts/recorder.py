"""Keeps opens and clicks in memory until a batch of them is written: who asks never waits for the
store.

What is in memory when the process is killed is lost: at most the opens and clicks of the moment.
"""

import asyncio
from collections import deque
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from services.kit.postgres import SessionMaker, workspace_tx
from services.orchestrator.receipts import service
from services.orchestrator.receipts.model import NewReceipt

log = structlog.get_logger(__name__)

BATCH = 1_000
MAX_WAITING = 100_000
"""Some tens of MB; while the store is away, what comes beyond is counted and dropped."""
LONGEST_PAUSE_SECONDS = 5.0
DROPPED = Counter(
    "orchestrator_receipts_dropped", "Opens and clicks not kept, as too many were waiting."
)


class Recorder:
    """One per process."""

    def __init__(self, maker: SessionMaker) -> None:
        self._maker = maker
        self._waiting: deque[tuple[UUID, NewReceipt]] = deque()
        self._came = asyncio.Event()

    def add(self, workspace_id: UUID, receipt: NewReceipt) -> None:
        if len(self._waiting) >= MAX_WAITING:
            DROPPED.inc()
            return
        self._waiting.append((workspace_id, receipt))
        self._came.set()

    async def flush(self) -> None:
        """Write all that waits. What cannot be written waits on; the error goes through."""
        while self._waiting:
            size = min(BATCH, len(self._waiting))
            batch = [self._waiting[index] for index in range(size)]
            for workspace_id in {each for each, _ in batch}:
                mine = [receipt for owner, receipt in batch if owner == workspace_id]
                async with workspace_tx(self._maker, workspace_id) as session:
                    now = mine[-1].at
                    await service.record(session, workspace_id, mine, now, counting=True)
                # Only this task takes any out: what was written is at the front, among others'.
                self._drop(batch, workspace_id)

    def _drop(self, batch: list[tuple[UUID, NewReceipt]], workspace_id: UUID) -> None:
        left = [each for each in batch if each[0] != workspace_id]
        for _ in batch:
            self._waiting.popleft()
        self._waiting.extendleft(reversed(left))
        batch[:] = left

    async def run(self) -> None:
        """Until cancelled; then what waits is written, where the store takes it."""
        pause = 0.2
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                try:
                    await self.flush()
                    pause = 0.2
                except (SQLAlchemyError, OSError) as error:
                    log.warning("receipts_not_written", error=type(error).__name__)
                    self._came.set()
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
        except asyncio.CancelledError:
            await self._finish()
            raise

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_PAUSE_SECONDS):
                await self.flush()
        except (SQLAlchemyError, OSError) as error:
            log.warning("receipts_lost", error=type(error).__name__, count=len(self._waiting))
