"""The loader: carries the log into ClickHouse in blocks whose boundaries are fixed beforehand.

A block is begun (boundaries and id committed in PostgreSQL), inserted under its token with its id
in every row, and closed. After a failure or a restart the open block is inserted under the same
token once more: a kill may have come between two partitions, or between the events and a
materialised view, and by the token each of them takes only what it lacks. ClickHouse itself then
tells whether it holds every row.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import structlog

from services.kit.clickhouse import ClickHouse, ClickHouseError, DatabaseError
from services.kit.feeds import FeedRow
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.loader import store as blocks
from services.tracking.loader.block import Entry, entries, split, table
from services.tracking.log import store
from services.tracking.log.store import LOADER, OpenBlock, Partition
from services.tracking.workers import Wake, Workers

log = structlog.get_logger(__name__)

NAME = "loader"
BLOCK_ROWS = 5_000
BLOCK_EVENTS = 25_000
"""Twice as many gain a tenth in rate and cost 140 MB of resident memory."""
BLOCK_BYTES = 16 * 1024 * 1024
LINGER_SECONDS = 0.2
"""Blocks follow each other at least so far apart, so that they grow under load; the first event
after a pause waits for nothing."""
_IDLE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 5.0

_POISON_CODES = frozenset({6, 26, 27, 38, 41, 69, 72, 117, 131, 321, 407, 469})
"""ClickHouse's error codes that blame the data (cannot parse, out of range, violated constraint …).
Everything else (memory, disk, too many parts, time-outs, a missing table) is waited over: an event
goes to quarantine only for its own fault."""
Refused = tuple[Entry, str]
"""An entry and what ClickHouse said about it."""

_SETTINGS = {
    "async_insert": 0,
    "wait_end_of_query": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


class Loader:
    def __init__(
        self, maker: SessionMaker, clickhouse: ClickHouse, wake: Wake, workers: Workers
    ) -> None:
        self._maker = maker
        self._clickhouse = clickhouse
        self._wake = wake
        self._workers = workers
        self._pause = LINGER_SECONDS
        self._turn = 0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                loaded = await self.load_all()
            except ClickHouseError as error:
                await self._wait_over(error)
                continue
            self._workers.recovered(NAME)
            self._pause = LINGER_SECONDS
            if not loaded:
                await self._wake.wait(_IDLE_SECONDS)
            await asyncio.sleep(max(0.0, started + LINGER_SECONDS - loop.time()) if loaded else 0)

    async def load_all(self) -> int:
        """One block of every partition that has something to load; the number of rows loaded."""
        async with self._maker.begin() as session:
            partitions = await store.to_load(session)
        metrics.observe(LOADER, partitions)
        rows = 0
        # Everyone begins once: a partition that fails each time does not starve those after it.
        self._turn += 1
        first = self._turn % max(1, len(partitions))
        for partition in partitions[first:] + partitions[:first]:
            if partition.position < partition.limit:
                rows += await self._load(partition)
        return rows

    async def _wait_over(self, error: ClickHouseError) -> None:
        self._workers.failed(NAME, f"ClickHouse does not take events ({type(error).__name__})")
        log.warning("clickhouse_insert_failed", error=str(error)[:300], pause=self._pause)
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _load(self, partition: Partition) -> int:
        block, rows, resumed = await self._block(partition)
        found = await asyncio.to_thread(entries, partition.name, rows)
        refused = await self._insert(partition.workspace_id, block.block_id, found)
        if resumed and found:
            refused += await self._insert_missing(partition.workspace_id, block, found, refused)
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            if refused:
                await blocks.quarantine(session, partition.workspace_id, refused)
            await store.advance(session, LOADER, partition.name, partition.position, block.end)
        metrics.LOADED_EVENTS.inc(len(found) - len(refused))
        metrics.POISONED_EVENTS.inc(len(refused))
        return len(rows)

    async def _block(self, partition: Partition) -> tuple[OpenBlock, list[FeedRow], bool]:
        """The open block of the partition, else a new one; its rows; whether it was open."""
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            block = await store.open_block(session, partition.name)
            if block is not None:
                size = block.end - partition.position
                rows = await store.rows(
                    session, partition.name, partition.position, block.end, size, 1 << 62
                )
                return block, rows, True
            rows = await store.rows(
                session,
                partition.name,
                partition.position,
                partition.limit,
                BLOCK_ROWS,
                BLOCK_BYTES,
            )
            rows = _bounded(rows)
            block = OpenBlock(str(uuid7()), rows[-1].offset)
            await store.begin_block(session, partition, block)
            return block, rows, False

    async def _insert_missing(
        self, workspace_id: UUID, block: OpenBlock, found: Sequence[Entry], refused: list[Refused]
    ) -> list[Refused]:
        """A token that was noted without its rows must not lose them."""
        held = await blocks.present(self._clickhouse, workspace_id, block.block_id)
        held |= {(entry.log_offset, entry.log_index) for entry, _ in refused}
        missing = [entry for entry in found if (entry.log_offset, entry.log_index) not in held]
        return await self._insert(workspace_id, block.block_id, missing)

    async def _insert(
        self, workspace_id: UUID, block_id: str, found: Sequence[Entry]
    ) -> list[Refused]:
        """Inserts all but the entries that ClickHouse refuses by themselves."""
        if not found:
            return []
        refused: list[Refused] = []
        for part in split(found):
            await self._insert_or_bisect(workspace_id, block_id, part, refused)
        if refused:
            log.error(
                "events_refused_by_clickhouse", count=len(refused), reason=refused[0][1][:300]
            )
        return refused

    async def _insert_or_bisect(
        self, workspace_id: UUID, block_id: str, part: Sequence[Entry], refused: list[Refused]
    ) -> None:
        data = await asyncio.to_thread(table, workspace_id, block_id, part)
        # The token names exactly these rows: what a bisection or a resumed block inserts is less.
        first, last = (f"{e.log_offset}.{e.log_index}" for e in (part[0], part[-1]))
        token = f"{block_id}:{first}-{last}:{len(part)}"
        try:
            await self._clickhouse.insert_arrow(
                "events", data, _SETTINGS | {"insert_deduplication_token": token}
            )
        except DatabaseError as error:
            if error.code not in _POISON_CODES:
                raise
            if len(part) == 1:
                refused.append((part[0], str(error)))
                return
            middle = len(part) // 2
            for half in (part[:middle], part[middle:]):
                await self._insert_or_bisect(workspace_id, block_id, half, refused)


def _bounded(rows: list[FeedRow]) -> list[FeedRow]:
    events = 0
    for index, row in enumerate(rows):
        events += row.count
        if events > BLOCK_EVENTS and index:
            return rows[:index]
    return rows
