"""There is one store: an advisory lock on a connection of its own."""

import asyncio

import asyncpg
import structlog

from services.kit.postgres import KEEPALIVES
from services.tracking.log.commit import CONNECT_SECONDS, OUTAGES, asyncpg_dsn

log = structlog.get_logger(__name__)

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('tracking:store', 0))"
_CHECK_SECONDS = 5.0
_RETRY_SECONDS = 0.25
WAIT_SECONDS = 30.0
"""For how long a starting store waits for the one before it to be gone."""


class AnotherStore(Exception):
    """A second store is running on this database; two must never work on one log."""


class StoreLease:
    """``acquire`` once at start, then ``run`` keeps it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = asyncpg_dsn(dsn)
        self._connection: asyncpg.Connection | None = None

    async def acquire(self, wait_seconds: float = WAIT_SECONDS) -> None:
        """Raises ``AnotherStore`` after ``wait_seconds``, or what the connection raises."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=10,
            server_settings={"application_name": "waymark-store-lease", **KEEPALIVES},
        )
        while not await connection.fetchval(_LOCK):
            if asyncio.get_running_loop().time() > deadline:
                await connection.close()
                raise AnotherStore("another tracking store holds the lock of this database")
            await asyncio.sleep(_RETRY_SECONDS)
        self._connection = connection

    async def run(self) -> None:
        """Watches the connection and takes the lock again after an outage of PostgreSQL."""
        while True:
            try:
                if self._connection is None:
                    await self.acquire()
                    log.info("store_lease_taken_again")
                else:
                    await asyncio.sleep(_CHECK_SECONDS)
                    await self._connection.execute("SELECT 1")
            except OUTAGES as error:
                log.warning("store_lease_lost", error=type(error).__name__)
                self._drop()
                await asyncio.sleep(_RETRY_SECONDS)

    async def release(self) -> None:
        if self._connection is not None:
            await self._connection.close(timeout=2)
            self._connection = None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
