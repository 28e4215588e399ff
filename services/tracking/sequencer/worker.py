"""The sequencer: walks partitions in offset order and decides for all readers what is left out:
duplicates, and events of people who were erased."""

import asyncio
import time
from collections.abc import Callable
from itertools import chain

import structlog

from services.kit.feeds import Bell
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.workers import Wake
from services.tracking import metrics
from services.tracking.erasure import suppression
from services.tracking.erasure.seal import Seal
from services.tracking.log import store
from services.tracking.log.port import Log
from services.tracking.log.store import SEQUENCER, Partition
from services.tracking.sequencer.ids import KEEP_WEEKS, WEEK_SECONDS, SeenIds
from services.tracking.sequencer.manifest import Covered
from services.tracking.sequencer.verdict import bitmaps, block_keys, united

log = structlog.get_logger(__name__)

BLOCK_ROWS = 1000
BLOCK_BYTES = 4 * 1024 * 1024
LINGER_SECONDS = 0.05
"""Passes follow each other at least so far apart, as each has its price; the first row after a
pause waits for nothing."""
_IDLE_SECONDS = 1.0


class LogSetBack(Exception):
    """A partition ends before what was read of it: it is another log than before, or an old copy.

    Going on would pass over what is appended next, up to the old end.
    """


class Sequencer:
    """One per store process. ``on_progress`` is called after each commit."""

    def __init__(
        self,
        maker: SessionMaker,
        events: Log,
        ids: SeenIds,
        bell: Bell,
        wake: Wake,
        on_progress: Callable[[], None],
        seal: Seal,
    ) -> None:
        self._maker = maker
        self._events = events
        self._ids = ids
        self._seal = seal
        self._bell = bell
        self._wake = wake
        self._on_progress = on_progress
        self._turn = 0
        self._verified: set[str] = set()
        """Partitions whose log is known to be the one that the id store saw."""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            rows = await self.sequence_all()
            if rows == 0:
                # The log's watch wakes us; the time-out is for a notice that was lost.
                await self._wake.wait(_IDLE_SECONDS)
            elif rows < BLOCK_ROWS:
                await asyncio.sleep(max(0.0, started + LINGER_SECONDS - loop.time()))

    async def sequence_all(self) -> int:
        """One block of every partition that has grown; the number of rows sequenced."""
        ends = await self._events.ends()
        async with self._maker.begin() as session:
            partitions = await store.to_sequence(session, ends)
        metrics.observe(SEQUENCER, partitions)
        rows = 0
        # Everyone begins once: a partition that fails each time does not starve those after it.
        self._turn += 1
        first = self._turn % max(1, len(partitions))
        for partition in partitions[first:] + partitions[:first]:
            if partition.limit < partition.position:
                raise LogSetBack(
                    f"{partition.name} ends at {partition.limit}, {partition.position} was read"
                )
            # Idle ones too: what the id store lacks may not be trimmed from the log.
            known = self._ids.covered(partition.name).offset
            if known != partition.position or partition.name not in self._verified:
                await self._catch_up(partition)
            if partition.position < partition.limit:
                rows += await self._sequence(partition)
        await self._ids.flush_if_old()
        return rows

    async def _catch_up(self, partition: Partition) -> None:
        """Makes the id store know the partition as far as it is sequenced, from the log.

        It is behind after a kill, after a commit whose answer was lost, and when its files are
        gone. It is ahead, or knows another row by that offset, when PostgreSQL was set back to a
        backup: what it remembers may then never have happened.
        """
        known = self._ids.covered(partition.name)
        if partition.name not in self._verified:
            at_ms = await self._events.appended_at_ms(partition.name, known.offset)
            if known.offset > partition.position or at_ms not in (None, known.at_ms):
                log.error("seen_ids_of_another_log", partition=partition.name)
                self._ids.forget_all()
            self._verified.add(partition.name)
        oldest_ms = (time.time() - KEEP_WEEKS * WEEK_SECONDS) * 1000
        while (after := self._ids.covered(partition.name).offset) < partition.position:
            rows = await self._events.read(
                partition.name, after, partition.position, rows=BLOCK_ROWS, size=BLOCK_BYTES
            )
            if not rows:
                # Trimmed: older than anything that has to be remembered, or so it was set.
                await self._ids.remember(partition.name, Covered(partition.position, 0), [])
                break
            recent = [row for row in rows if row.at >= oldest_ms]
            keys = await asyncio.to_thread(block_keys, partition.workspace_id, recent)
            last = Covered(rows[-1].offset, rows[-1].at)
            await self._ids.remember(partition.name, last, list(chain.from_iterable(keys)))
            log.info("seen_ids_caught_up", partition=partition.name, offset=last.offset)

    async def _sequence(self, partition: Partition) -> int:
        rows = await self._events.read(
            partition.name,
            partition.position,
            partition.limit,
            rows=BLOCK_ROWS,
            size=BLOCK_BYTES,
        )
        keys = await asyncio.to_thread(block_keys, partition.workspace_id, rows)
        distinct = list(dict.fromkeys(chain.from_iterable(keys)))
        new = await asyncio.to_thread(self._ids.unknown, distinct)
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            drops = bitmaps(rows, keys, new)
            erased = await suppression.drops(session, self._seal, partition.workspace_id, rows)
            await store.add_verdicts(session, partition, united(drops, erased))
            await store.advance(
                session, SEQUENCER, partition.name, partition.position, rows[-1].offset
            )
        self._bell.ring(partition.name)
        self._on_progress()
        # Only now: until the commit nobody may count on these keys, and if the answer of the commit
        # is lost, ``_catch_up`` reads them from the log.
        last = Covered(rows[-1].offset, rows[-1].at)
        await self._ids.remember(partition.name, last, list(new))
        return len(rows)
