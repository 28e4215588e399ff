"""The sequencer: walks partitions in offset order and decides duplicates for all readers."""

import asyncio
import time
from collections.abc import Callable
from itertools import chain

import structlog

from services.kit.feeds import Bell
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.log import store
from services.tracking.log.store import SEQUENCER, Partition
from services.tracking.sequencer.ids import KEEP_WEEKS, WEEK_SECONDS, SeenIds
from services.tracking.sequencer.verdict import bitmaps, block_keys
from services.tracking.workers import Wake

log = structlog.get_logger(__name__)

BLOCK_ROWS = 1000
BLOCK_BYTES = 4 * 1024 * 1024
LINGER_SECONDS = 0.05
"""Passes follow each other at least so far apart, as each has its price; the first row after a
pause waits for nothing."""
_IDLE_SECONDS = 1.0


class Sequencer:
    """One per store process. ``on_progress`` is called after each commit."""

    def __init__(
        self,
        maker: SessionMaker,
        ids: SeenIds,
        bell: Bell,
        wake: Wake,
        on_progress: Callable[[], None],
    ) -> None:
        self._maker = maker
        self._ids = ids
        self._bell = bell
        self._wake = wake
        self._on_progress = on_progress
        self._turn = 0

    async def run(self) -> None:
        await self.rebuild_if_lost()
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            rows = await self.sequence_all()
            if rows == 0:
                # NOTIFY wakes us; the time-out is for a notice that was lost with its connection.
                await self._wake.wait(_IDLE_SECONDS)
            elif rows < BLOCK_ROWS:
                await asyncio.sleep(max(0.0, started + LINGER_SECONDS - loop.time()))

    async def sequence_all(self) -> int:
        """One block of every partition that has grown; the number of rows sequenced."""
        async with self._maker.begin() as session:
            partitions = await store.to_sequence(session)
        metrics.observe(SEQUENCER, partitions)
        rows = 0
        # Everyone begins once: a partition that fails each time does not starve those after it.
        self._turn += 1
        first = self._turn % max(1, len(partitions))
        for partition in partitions[first:] + partitions[:first]:
            if partition.position < partition.limit:
                rows += await self._sequence(partition)
        return rows

    async def rebuild_if_lost(self) -> None:
        """Fills an id store that is empty from the rows that were sequenced already."""
        async with self._maker.begin() as session:
            partitions = await store.to_sequence(session)
            if not await self._ids.is_empty(session):
                return
        oldest_ms = (time.time() - KEEP_WEEKS * WEEK_SECONDS) * 1000
        for partition in partitions:
            after = 0
            while after < partition.position:
                async with workspace_tx(self._maker, partition.workspace_id) as session:
                    rows = await store.rows(
                        session, partition.name, after, partition.position, BLOCK_ROWS, BLOCK_BYTES
                    )
                    after = rows[-1].offset
                    recent = [row for row in rows if row.at >= oldest_ms]
                    if recent:
                        keys = await asyncio.to_thread(block_keys, partition.workspace_id, recent)
                        distinct = list(dict.fromkeys(chain.from_iterable(keys)))
                        await self._ids.claim(session, distinct, recent[0].at / 1000)
            log.info("seen_ids_rebuilt", partition=partition.name, rows=after)

    async def _sequence(self, partition: Partition) -> int:
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            rows = await store.rows(
                session,
                partition.name,
                partition.position,
                partition.limit,
                BLOCK_ROWS,
                BLOCK_BYTES,
            )
            keys = await asyncio.to_thread(block_keys, partition.workspace_id, rows)
            distinct = list(dict.fromkeys(chain.from_iterable(keys)))
            new = await self._ids.claim(session, distinct, time.time())
            await store.add_verdicts(session, partition, bitmaps(rows, keys, new))
            await store.advance(
                session, SEQUENCER, partition.name, partition.position, rows[-1].offset
            )
        self._bell.ring(partition.name)
        self._on_progress()
        return len(rows)
