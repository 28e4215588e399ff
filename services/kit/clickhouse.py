"""The one place that imports the ClickHouse driver: embedded chDB and servers, the same SQL.

Every call runs in a thread of its lane: writes share one handle, reads have a few of their own,
readiness has one that nothing else can hold up. A call whose caller gave up keeps its handle and
its thread until it ends, so a server that hangs never takes more threads than there are handles.

Reads are read-only by the engine's own word. On a server each request of theirs carries
``readonly=1`` (or the user's profile says so already), on chDB their handles are set so for good:
no write, and no ``file()``, which could otherwise read any file of the machine.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    Error,
    OperationalError,
    ProgrammingError,
)

from services.kit import clickhouse_handles as handles
from services.kit.clickhouse_handles import DirectoryInUse, Forked, Settings
from services.kit.problems import Unavailable

T = TypeVar("T")
Params = Mapping[str, Any]
Rows = list[tuple[Any, ...]]
Columns = Sequence[Sequence[Any]]
"""A block, column by column."""

_OVERLOADED = frozenset({76, 173, 202, 209, 210, 236, 243, 279, 425, 439, 745, 999})
"""ClickHouse's codes for: no file, memory, room or thread to be had, too many queries, a time-out
or failure of its network, an end of its own, Keeper away."""
_TOO_MUCH = frozenset({159, 160, 241})
"""Its codes for a query over its limits of time or memory."""


class ClickHouse:
    """Handles on one database.

    Writes raise the driver's ``ClickHouseError`` and its subclasses. So do reads, but that a
    store which does not answer, or cannot now, is ``Unavailable``.
    """

    def __init__(
        self,
        writer: Client,
        readers: Sequence[Client],
        pinger: Client,
        open_reader: Callable[[Settings], Client],
    ) -> None:
        """``open_reader``: one more handle that reads, with settings over those of the others."""
        self._writes = _Lane([writer])
        self._reads = _Lane(readers)
        self._pings = _Lane([pinger])
        self._open_reader = open_reader

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        read_dsn: str | None = None,
        readers: int = 2,
        write_settings: Settings | None = None,
        read_settings: Settings | None = None,
    ) -> "ClickHouse":
        """Connects; the settings go with every write or read.

        A chDB directory belongs to one process: ``DirectoryInUse`` when another has it open,
        ``Forked`` in a child of a process that had loaded chDB.
        """

        def connect() -> "ClickHouse":
            reading = read_dsn or dsn
            return cls(
                handles.writer(dsn, write_settings or {}),
                [handles.reader(reading, read_settings or {}) for _ in range(readers)],
                handles.pinger(reading),
                lambda own: handles.reader(reading, {**(read_settings or {}), **own}),
            )

        return await asyncio.to_thread(connect)

    async def query(self, sql: str, params: Params | None = None) -> Rows:
        """Rows of a SELECT; ``params`` are bound on the server side as ``{name:Type}``."""
        return await self._read(lambda c: _rows(c, sql, params))

    async def arrow(self, sql: str, params: Params | None = None) -> pa.Table:
        return await self._read(lambda c: c.query_arrow(sql, parameters=_bound(params)))

    async def query_written(
        self, sql: str, params: Params | None = None, settings: Settings | None = None
    ) -> Rows:
        """Rows as the writer sees them: with ``write_settings``, after all earlier writes."""
        return await self._writes.run(lambda c: _rows(c, sql, params, settings))

    async def command(
        self, sql: str, params: Params | None = None, settings: Settings | None = None
    ) -> None:
        """DDL and other statements without rows."""
        own = dict(settings or {})
        await self._writes.run(lambda c: c.command(sql, parameters=_bound(params), settings=own))

    async def stream(
        self, sql: str, params: Params | None = None, settings: Settings | None = None
    ) -> AsyncGenerator[Columns, None]:
        """Blocks of a SELECT as the engine makes them, through a handle of its own.

        Close the iterator to stop the query. ``settings`` may loosen the limits of the other reads.
        """
        # Native, not Arrow: chDB makes an Arrow answer as a whole before it gives out any of it.
        # One thread for all: closing waits there until the block being read is complete.
        thread = ThreadPoolExecutor(1, "clickhouse-stream")
        loop = asyncio.get_running_loop()
        blocks = _blocks(partial(self._open_reader, settings or {}), sql, _bound(params))
        try:
            while (block := await loop.run_in_executor(thread, next, blocks, None)) is not None:
                yield block
        finally:
            # Not awaited: a task that is being cancelled would be interrupted again.
            thread.submit(blocks.close)
            thread.shutdown(wait=False)

    async def insert_arrow(
        self, table: str, data: pa.Table, settings: Settings | None = None
    ) -> None:
        own = dict(settings or {})
        await self._writes.run(lambda c: c.insert_arrow(table, data, settings=own))

    async def ping(self) -> None:
        """``Unavailable`` when the store does not answer."""
        try:
            await self._pings.run(lambda c: _rows(c, "SELECT 1", None))
        except Error as error:
            raise Unavailable("The event store does not answer.") from error

    async def close(self) -> None:
        for lane in (self._reads, self._pings, self._writes):
            await lane.close()

    async def _read(self, run: Callable[[Client], T]) -> T:
        try:
            return await self._reads.run(run)
        except Error as error:
            silent = error.code is None and not isinstance(error, ProgrammingError)
            if silent or error.code in _OVERLOADED:
                raise Unavailable("The event store does not answer.") from error
            if error.code in _TOO_MUCH:
                raise Unavailable(
                    "The query took more time or memory than one may take now. Ask for less, such "
                    "as a shorter time or fewer breakdowns, or again later."
                ) from error
            raise


class _Lane:
    """Handles of one kind, and as many threads."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self._pid = os.getpid()
        self._clients = clients
        self._idle: SimpleQueue[Client] = SimpleQueue()
        for client in clients:
            self._idle.put(client)
        self._threads = ThreadPoolExecutor(max(1, len(clients)), "clickhouse")

    async def run(self, call: Callable[[Client], T]) -> T:
        if os.getpid() != self._pid:
            raise Forked
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._lend, call)

    def _lend(self, call: Callable[[Client], T]) -> T:
        client = self._idle.get()
        try:
            return call(client)
        finally:
            self._idle.put(client)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients:
            await asyncio.to_thread(client.close)


def _rows(
    client: Client, sql: str, params: Params | None, settings: Settings | None = None
) -> Rows:
    result = client.query(sql, parameters=_bound(params), settings=dict(settings or {}))
    return [tuple(row) for row in result.result_rows]


def _blocks(
    connect: Callable[[], Client], sql: str, params: dict[str, Any]
) -> Generator[Columns, None, None]:
    client = connect()
    try:
        with client.query_column_block_stream(sql, parameters=params) as stream:
            yield from stream
    finally:
        client.close()


def _bound(params: Params | None) -> dict[str, Any]:
    return dict(params or {})


__all__ = [
    "ClickHouse",
    "ClickHouseError",
    "DatabaseError",
    "DirectoryInUse",
    "Forked",
    "OperationalError",
]
