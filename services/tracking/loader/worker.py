"""The loader: carries the log into ClickHouse in blocks whose boundaries are fixed beforehand.

A block is begun (boundaries and id committed in PostgreSQL), inserted under its token with its id
in every row, and closed. After a failure or a restart the open block is inserted under the same
token once more: a kill may have come between two partitions, or between the events and a
materialised view, and by the token each of them takes only what it lacks. ClickHouse itself then
tells whether it holds every row.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import pyarrow as pa
import structlog

from services.kit.clickhouse import ClickHouse, ClickHouseError, DatabaseError
from services.kit.feeds import FeedRow
from services.kit.ids import uuid7
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.workers import Wake, Workers
from services.tracking import metrics
from services.tracking.loader import store as blocks
from services.tracking.loader.block import Entry, entries, split, table
from services.tracking.log import store
from services.tracking.log.port import Log
from services.tracking.log.store import LOADER, OpenBlock, Partition

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

Part = tuple[Sequence[Entry], pa.Table]
"""Entries that go in with one insert, and their columns."""

_SETTINGS = {
    "async_insert": 0,
    "wait_end_of_query": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}


@dataclass(frozen=True, slots=True)
class _Ready:
    """A block whose columns are made: ``rows`` of the log behind offset ``after``."""

    after: int
    block: OpenBlock
    rows: int
    parts: Sequence[Part]
    resumed: bool = False
    """It was begun before, and some of it may be in ClickHouse."""


class Loader:
    def __init__(
        self,
        maker: SessionMaker,
        events: Log,
        clickhouse: ClickHouse,
        wake: Wake,
        workers: Workers,
    ) -> None:
        self._maker = maker
        self._events = events
        self._clickhouse = clickhouse
        self._wake = wake
        self._workers = workers
        self._pause = LINGER_SECONDS
        self._turn = 0
        self._ahead: dict[str, asyncio.Task[_Ready]] = {}
        """By partition: the block after the one that is being inserted."""

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            await self.close()

    async def close(self) -> None:
        """Gives up what was prepared and not begun."""
        tasks, self._ahead = list(self._ahead.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
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
        ready = await self._begin(partition)
        end, name = ready.block.end, partition.name
        if end < partition.limit and name not in self._ahead:
            # While ClickHouse works on this block, the next one is read and decoded.
            self._ahead[name] = asyncio.create_task(self._prepare(partition, end))
        refused: list[Refused] = []
        for part in ready.parts:
            await self._insert_or_bisect(partition.workspace_id, ready.block, *part, refused)
        if ready.resumed:
            await self._insert_missing(partition, ready, refused)
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            if refused:
                await blocks.quarantine(session, partition.workspace_id, refused)
            await store.advance(session, LOADER, name, partition.position, end)
        if refused:
            log.error(
                "events_refused_by_clickhouse", count=len(refused), reason=refused[0][1][:300]
            )
        metrics.LOADED_EVENTS.inc(sum(len(each) for each, _ in ready.parts) - len(refused))
        metrics.POISONED_EVENTS.inc(len(refused))
        return ready.rows

    async def _begin(self, partition: Partition) -> "_Ready":
        """The partition's open block, else the next one, whose boundaries are fixed now."""
        if partition.block is not None:
            return await self._resume(partition, partition.block)
        ahead = self._ahead.pop(partition.name, None)
        ready = None if ahead is None else await ahead
        if ready is None or ready.after != partition.position:
            ready = await self._prepare(partition, partition.position)
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            await store.begin_block(session, partition, ready.block)
        return ready

    async def _prepare(self, partition: Partition, after: int) -> "_Ready":
        rows = await self._events.read(
            partition.name, after, partition.limit, rows=BLOCK_ROWS, size=BLOCK_BYTES
        )
        rows = _bounded(rows)
        block = OpenBlock(str(uuid7()), rows[-1].offset)
        found = await self._entries(partition, rows)
        return await _ready(partition, after, block, len(rows), found)

    async def _resume(self, partition: Partition, block: OpenBlock) -> "_Ready":
        """A block that was begun, however many rows it has."""
        after, size = partition.position, block.end - partition.position
        rows = await self._events.read(partition.name, after, block.end, rows=size, size=1 << 62)
        found = await self._entries(partition, rows)
        return replace(await _ready(partition, after, block, len(rows), found), resumed=True)

    async def _insert_missing(
        self, partition: Partition, ready: _Ready, refused: list[Refused]
    ) -> None:
        """A token that was noted without its rows must not lose them."""
        workspace_id, block_id = partition.workspace_id, ready.block.block_id
        held = await blocks.present(self._clickhouse, workspace_id, block_id)
        held |= {(entry.log_offset, entry.log_index) for entry, _ in refused}
        for part, _ in ready.parts:
            missing = [each for each in part if (each.log_offset, each.log_index) not in held]
            if missing:
                data = await asyncio.to_thread(table, workspace_id, block_id, missing)
                await self._insert_or_bisect(workspace_id, ready.block, missing, data, refused)

    async def _entries(self, partition: Partition, rows: Sequence[FeedRow]) -> list[Entry]:
        async with workspace_tx(self._maker, partition.workspace_id) as session:
            rows = await store.apply_verdicts(session, partition.name, rows)
        return await asyncio.to_thread(entries, partition.name, rows)

    async def _insert_or_bisect(
        self,
        workspace_id: UUID,
        block: OpenBlock,
        part: Sequence[Entry],
        data: pa.Table,
        refused: list[Refused],
    ) -> None:
        """Inserts all but the entries that ClickHouse refuses by themselves."""
        # The token names exactly these rows: what a bisection or a resumed block inserts is less.
        first, last = (f"{e.log_offset}.{e.log_index}" for e in (part[0], part[-1]))
        token = f"{block.block_id}:{first}-{last}:{len(part)}"
        own = {"insert_deduplication_token": token, "query_id": block.block_id}
        try:
            await self._clickhouse.insert_arrow("events", data, _SETTINGS | own)
        except DatabaseError as error:
            if error.code not in _POISON_CODES:
                raise
            if len(part) == 1:
                refused.append((part[0], str(error)))
                return
            middle = len(part) // 2
            for half in (part[:middle], part[middle:]):
                data = await asyncio.to_thread(table, workspace_id, block.block_id, half)
                await self._insert_or_bisect(workspace_id, block, half, data, refused)


async def _ready(
    partition: Partition, after: int, block: OpenBlock, rows: int, found: Sequence[Entry]
) -> _Ready:
    def parts() -> list[Part]:
        cut = split(found) if found else []
        return [(part, table(partition.workspace_id, block.block_id, part)) for part in cut]

    return _Ready(after, block, rows, await asyncio.to_thread(parts))


def _bounded(rows: list[FeedRow]) -> list[FeedRow]:
    events = 0
    for index, row in enumerate(rows):
        events += row.count
        if events > BLOCK_EVENTS and index:
            return rows[:index]
    return rows
