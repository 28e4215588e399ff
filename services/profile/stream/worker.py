"""Follows tracking's log: one leased consumer per partition."""

import asyncio
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit.problems import Unavailable
from services.profile.feed import store as feed
from services.profile.predictions.runner import Runner
from services.profile.stream import store
from services.profile.stream.consumer import Consumer, Resources

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0


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
                    consumer = Consumer(
                        self._resources,
                        UUID(partition),
                        block_rows=self._block_rows,
                        retry_seconds=self._discovery_seconds,
                    )
                    runner = Runner(self._resources, UUID(partition), self._discovery_seconds)
                    self._consumers[partition] = asyncio.create_task(_all(consumer, runner))
            await asyncio.sleep(self._discovery_seconds)

    async def _partitions(self) -> list[str]:
        """Partitions of events; those that only this service knows (no event yet) included."""
        async with self._resources.sessionmaker() as session:
            known = set(await feed.partitions(session))
        try:
            known |= set(await self._resources.log.partitions())
        except (Unavailable, httpx2.HTTPStatusError) as error:
            log.info("log_unavailable", error=type(error).__name__)
        # Outcomes (``<workspace>:outcomes``) hold what journeys did; no rule reads them yet.
        return sorted(partition for partition in known if ":" not in partition)

    async def _stop(self) -> None:
        tasks = list(self._consumers.values())
        self._consumers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all(consumer: Consumer, runner: Runner) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run())
        tasks.create_task(runner.run())


def _report(partition: str, task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    log.error("consumer_restarts", partition=partition, exc_info=error)
