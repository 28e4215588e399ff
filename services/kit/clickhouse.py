"""The one place that imports the ClickHouse driver: embedded chDB and servers, the same SQL.

Every call runs in a thread. Writes share one handle; reads have a few of their own, which on chDB
are set read-only for good (there, ``file()`` could otherwise read any file of the machine). For a
server give the reads a DSN of a read-only user.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import clickhouse_connect
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import (
    ClickHouseError,
    DatabaseError,
    OperationalError,
)

T = TypeVar("T")
Params = Mapping[str, Any]
Columns = Sequence[Sequence[Any]]
"""A block, column by column."""

_LIMITS = {"max_execution_time": 60, "max_memory_usage": 2_000_000_000}


class ClickHouse:
    """Handles on one database. Errors are the driver's: ``ClickHouseError`` and its subclasses."""

    def __init__(self, writer: Client, readers: list[Client], read_dsn: str) -> None:
        self._writer = writer
        self._read_dsn = read_dsn
        self._writing = asyncio.Lock()
        self._readers: asyncio.Queue[Client] = asyncio.Queue()
        self._all = [writer, *readers]
        for reader in readers:
            self._readers.put_nowait(reader)

    @classmethod
    async def open(cls, dsn: str, *, read_dsn: str | None = None, readers: int = 2) -> "ClickHouse":
        """Connects. A chDB path belongs to one process: a second one is refused by the engine."""
        writer = await asyncio.to_thread(_connect, dsn)
        handles = [
            await asyncio.to_thread(_connect_reader, read_dsn or dsn) for _ in range(readers)
        ]
        return cls(writer, handles, read_dsn or dsn)

    async def query(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Rows of a SELECT; ``params`` are bound on the server side as ``{name:Type}``."""
        return await self._read(lambda c: _rows(c, sql, params))

    async def arrow(self, sql: str, params: Params | None = None) -> pa.Table:
        return await self._read(lambda c: c.query_arrow(sql, parameters=_bound(params)))

    async def command(
        self, sql: str, params: Params | None = None, settings: dict[str, Any] | None = None
    ) -> None:
        """DDL and other statements without rows."""
        run = partial(self._writer.command, sql, parameters=_bound(params), settings=settings)
        async with self._writing:
            await asyncio.to_thread(run)

    async def stream(
        self, sql: str, params: Params | None = None, settings: dict[str, Any] | None = None
    ) -> AsyncGenerator[Columns, None]:
        """Blocks of a SELECT as the engine makes them, through a handle of its own.

        Close the iterator to stop the query. ``settings`` may loosen the limits of the other reads.
        """
        # Native, not Arrow: chDB makes an Arrow answer as a whole before it gives out any of it.
        # One thread for all: closing waits there until the block being read is complete.
        thread = ThreadPoolExecutor(1, "clickhouse-stream")
        loop = asyncio.get_running_loop()
        blocks = _blocks(self._read_dsn, sql, _bound(params), settings or {})
        try:
            while (block := await loop.run_in_executor(thread, next, blocks, None)) is not None:
                yield block
        finally:
            # Not awaited: a task that is being cancelled would be interrupted again.
            thread.submit(blocks.close)
            thread.shutdown(wait=False)

    async def insert_arrow(
        self, table: str, data: pa.Table, settings: dict[str, Any] | None = None
    ) -> None:
        async with self._writing:
            await asyncio.to_thread(self._writer.insert_arrow, table, data, settings=settings)

    async def ping(self) -> None:
        await self.query("SELECT 1")

    async def close(self) -> None:
        for client in self._all:
            await asyncio.to_thread(client.close)

    async def _read(self, run: Callable[[Client], T]) -> T:
        async with self._reader() as client:
            return await asyncio.to_thread(run, client)

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Client]:
        client = await self._readers.get()
        try:
            yield client
        finally:
            self._readers.put_nowait(client)


def _rows(client: Client, sql: str, params: Params | None) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql, parameters=_bound(params)).result_rows]


def _blocks(
    dsn: str, sql: str, params: dict[str, Any], settings: dict[str, Any]
) -> Generator[Columns, None, None]:
    client = _connect_reader(dsn, settings)
    try:
        with client.query_column_block_stream(sql, parameters=params) as stream:
            yield from stream
    finally:
        client.close()


def _bound(params: Params | None) -> dict[str, Any]:
    return dict(params or {})


def _connect(dsn: str) -> Client:
    return clickhouse_connect.get_client(dsn=dsn)


def _connect_reader(dsn: str, settings: Mapping[str, Any] | None = None) -> Client:
    client = clickhouse_connect.get_client(dsn=dsn, settings={**_LIMITS, **(settings or {})})
    if dsn.startswith("chdb:"):
        # Not as a per-call setting: that would poison the handle half-way (and can't be undone).
        client.command("SET readonly = 1")
    return client


__all__ = ["ClickHouse", "ClickHouseError", "DatabaseError", "OperationalError"]
