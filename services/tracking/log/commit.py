"""Appends to the log in PostgreSQL by a natural group commit.

All requests that wait when the previous commit has returned go into the next one: one transaction,
one round trip, one flush to disk. asyncpg is used directly, as this is the hottest path there is.
"""

import asyncio
from typing import Any

import asyncpg
import structlog
from sqlalchemy import make_url

from services.kit.problems import Unavailable
from services.tracking.log.port import Append, Quarantined

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
COMMIT_SECONDS = 10.0
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""What may wait for the disk; beyond it requests are turned away instead of filling the memory."""

_APPEND = "SELECT log_append($1, $2, $3, $4, $5)"
_QUARANTINE = "quarantine_append($6, $7, $8, $9, $10, $11, $12, $13)"
OUTAGES = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg says when the server goes away in the middle of a handshake.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.exceptions.InvalidAuthorizationSpecificationError,
)
"""The server is away, full or going down: nobody's fault, worth another try."""


def asyncpg_dsn(dsn: str) -> str:
    """A SQLAlchemy URL as asyncpg itself reads it."""
    url = make_url(dsn).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


class GroupCommit:
    """``append`` from any request; ``run`` is the one task that commits."""

    def __init__(self, dsn: str) -> None:
        self._dsn = asyncpg_dsn(dsn)
        self._connection: asyncpg.Connection | None = None
        self._waiting: list[tuple[Append, asyncio.Future[None]]] = []
        self._waiting_bytes = 0
        self._filled = asyncio.Event()

    async def append(self, request: Append) -> None:
        size = len(request.data)
        if request.quarantined:
            size += sum(q.size for q in request.quarantined)
        if self._waiting_bytes + size > MAX_WAITING_BYTES and self._waiting:
            raise Unavailable("The log is behind; try again shortly.")
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((request, done))
        self._waiting_bytes += size
        self._filled.set()
        await done

    async def run(self) -> None:
        """Commits for ever. Ends only by cancellation; what then waits is told so."""
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                group, self._waiting, self._waiting_bytes = self._waiting, [], 0
                try:
                    await self._commit(group)
                finally:
                    # Only after a cancellation or a defect: nobody may wait for ever.
                    _tell(group, Unavailable("The log is closing."))
        finally:
            _tell(self._waiting, Unavailable("The log is closing."))
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None

    async def _commit(self, group: list[tuple[Append, asyncio.Future[None]]]) -> None:
        try:
            await self._write([request for request, _ in group])
        except OUTAGES as error:
            log.warning("log_append_failed", error=type(error).__name__, requests=len(group))
            self._drop_connection()
            _tell(group, Unavailable("The event log does not answer."))
        except asyncpg.PostgresError as error:
            self._drop_connection()
            if len(group) == 1:
                log.error("log_append_refused", error=str(error))
                _tell(group, Unavailable("The event log refused the request."))
                return
            # One of them is not acceptable to the server: the others must not suffer.
            for one in group:
                await self._commit([one])
        else:
            _tell(group, None)

    async def _write(self, requests: list[Append]) -> None:
        refused = [q for r in requests for q in r.quarantined]
        async with asyncio.timeout(COMMIT_SECONDS):
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(
                    self._dsn,
                    timeout=CONNECT_SECONDS,
                    server_settings={"application_name": "waymark-ingest"},
                )
            # One statement, so one round trip and all or nothing.
            if refused:
                statement = f"{_APPEND}, {_QUARANTINE}"
                await self._connection.execute(statement, *_rows(requests), *_refused(refused))
            else:
                await self._connection.execute(_APPEND, *_rows(requests))

    def _drop_connection(self) -> None:
        # After a time-out the statement may still be running on it.
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _rows(requests: list[Append]) -> tuple[Any, ...]:
    """What ``log_append`` takes: rows of a partition one after the other."""
    parts: dict[str, list[Append]] = {}
    for request in requests:
        if request.count:
            parts.setdefault(request.partition, []).append(request)
    names = sorted(parts)
    rows = [request for name in names for request in parts[name]]
    return (
        names,
        [parts[name][0].workspace_id for name in names],
        [len(parts[name]) for name in names],
        ",".join([str(request.count) for request in rows]),
        [request.data for request in rows],
    )


def _refused(refused: list[Quarantined]) -> tuple[Any, ...]:
    """What ``quarantine_append`` takes."""
    return (
        [q.workspace_id for q in refused],
        [q.source_id for q in refused],
        [q.reason for q in refused],
        [q.pointer for q in refused],
        [q.detail for q in refused],
        [q.raw for q in refused],
        [q.origin for q in refused],
        [q.violations for q in refused],
    )


def _tell(group: list[tuple[Append, asyncio.Future[None]]], failure: Unavailable | None) -> None:
    for _, done in group:
        if done.done():
            continue
        if failure is None:
            done.set_result(None)
        else:
            done.set_exception(failure)
