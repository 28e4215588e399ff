"""Follows tracking's log: one consumer per partition, leased, each block in one transaction."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.kit.feeds import Bell, FeedClient, FeedPage, FeedRow
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.profile.clock import Clock, to_ms
from services.profile.feed import store as feed
from services.profile.stream import service, store
from services.profile.stream.block import Block, decode

log = structlog.get_logger(__name__)

MAX_BLOCK_EVENTS = 20_000
RETRY_SECONDS = 1.0


@dataclass(frozen=True)
class Resources:
    """What workers share with the routes of this process."""

    engine: AsyncEngine
    sessionmaker: SessionMaker
    log: FeedClient
    bell: Bell
    clock: Clock


class Superseded(Exception):
    """The partition is not where this consumer left it: somebody else applied a block."""


class Consumer:
    """Applies one workspace's log; lives as long as its lease."""

    def __init__(self, resources: Resources, workspace_id: UUID, block_rows: int) -> None:
        self._resources = resources
        self._workspace_id = workspace_id
        self._block_rows = block_rows

    async def run(self) -> None:
        async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
            after = (await store.place(session, self._workspace_id)).log_offset
        pages = self._resources.log.follow(str(self._workspace_id), after, limit=self._block_rows)
        async for page in pages:
            for rows in _blocks(page):
                block = await asyncio.to_thread(decode, rows)
                await self._apply(after, block)
                after = block.end

    async def _apply(self, after: int, block: Block) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            place = await store.lock(session, workspace_id)
            if place.log_offset != after:
                raise Superseded(f"{workspace_id} is at {place.log_offset}, not at {after}")
            now_ms = to_ms(resources.clock.now())
            applied = await service.apply(session, workspace_id, block, now_ms)
            await feed.append(session, workspace_id, applied.changes)
            await store.advance(session, workspace_id, block.end)
        resources.bell.ring(str(workspace_id))


def _blocks(page: FeedPage) -> Iterator[list[FeedRow]]:
    """The rows of a page in portions of a bounded number of events, at least one row each."""
    rows: list[FeedRow] = []
    for row in page.rows:
        if rows and sum(r.count for r in rows) + row.count > MAX_BLOCK_EVENTS:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


class Worker:
    """Keeps a consumer running for every partition this process holds the lease of."""

    def __init__(self, resources: Resources, *, discovery_seconds: float, block_rows: int) -> None:
        self._resources = resources
        self._discovery_seconds = discovery_seconds
        self._block_rows = block_rows
        self._consumers: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        while True:
            try:
                # Leases are session locks of this one connection: if it breaks they are gone,
                # and a killed process gives them back at once.
                async with self._resources.engine.connect() as connection:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                    await self._supervise(connection)
            except (DBAPIError, OSError) as error:
                log.warning("leases_lost", error=type(error).__name__)
            finally:
                await self._stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _supervise(self, connection: AsyncConnection) -> None:
        while True:
            for partition in await self._partitions():
                task = self._consumers.get(partition)
                if task is not None and not task.done():
                    continue
                if task is not None:
                    _report(partition, task)
                if await store.lease(connection, partition):
                    consumer = Consumer(self._resources, UUID(partition), self._block_rows)
                    self._consumers[partition] = asyncio.create_task(consumer.run())
            await asyncio.sleep(self._discovery_seconds)

    async def _partitions(self) -> list[str]:
        """Partitions of events; those that only this service knows (no event yet) included."""
        async with self._resources.sessionmaker() as session:
            known = set(await feed.partitions(session))
        try:
            known |= set(await self._resources.log.partitions())
        except Unavailable:
            log.info("log_unavailable")
        # Outcomes (``<workspace>:outcomes``) hold what journeys did; no rule reads them yet.
        return sorted(partition for partition in known if ":" not in partition)

    async def _stop(self) -> None:
        tasks = list(self._consumers.values())
        self._consumers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report(partition: str, task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    log.error("consumer_restarts", partition=partition, exc_info=error)
