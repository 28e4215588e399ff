"""Looks into an instance's PostgreSQL as its superuser: how far readers are, what they hold."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg

from infra.runner.cluster import SUPERUSER
from infra.runner.keys import load_or_create
from services.contracts.changes import Change
from services.kit.feeds import unpack
from services.tracking.log.commit import OUTAGES
from tests.support.waiting import until

T = TypeVar("T")
_LAGGING = """
SELECT p.name, p.end_offset, coalesce(min(r.position), 0) AS position
FROM log_partition p
LEFT JOIN log_reader r ON r.partition = p.name AND r.reader IN ('sequencer', 'loader')
GROUP BY p.name, p.end_offset
HAVING count(r.reader) < 2 OR min(r.position) < p.end_offset
"""
_EVENT_PARTITIONS = "SELECT name, end_offset FROM log_partition WHERE name NOT LIKE '%:%'"


@dataclass(frozen=True)
class Held:
    profile_events: int
    """Events that profile told of in its change feed."""
    profile_distinct: int
    quarantined: int
    """By tracking and by profile."""


class Databases:
    def __init__(self, data_dir: Path) -> None:
        self._home = data_dir / "postgres"
        self._behind: object = None

    def dsn(self, service: str) -> str:
        """SQLAlchemy's URL of a service's database, as the service itself has it."""
        password = load_or_create(self._home.parent / "keys")[service].app_password
        return f"postgresql+asyncpg://{service}_app:{password}@/{service}?host={self._socket}"

    @property
    def _socket(self) -> str:
        return str(json.loads((self._home / "socket").read_text()))

    def await_readers(self, within: float) -> None:
        """Until the sequencer, the loader and profile are at the end of the log."""
        what = "all readers at the end of the log"
        try:
            until(lambda: asyncio.run(self._caught_up()), within=within, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; last seen: {self._behind}") from None

    def held(self, workspace_id: str) -> Held:
        return asyncio.run(self._held(UUID(workspace_id)))

    def write_wal(self, megabytes: int) -> bool:
        """Writes so much to the write-ahead log and to nothing else; False when PostgreSQL died."""
        return asyncio.run(self._write_wal(megabytes))

    async def _write_wal(self, megabytes: int) -> bool:
        message = "SELECT pg_logical_emit_message(false, 'chaos', repeat('x', 1048576))"

        async def write(connection: asyncpg.Connection) -> None:
            for _ in range(megabytes):
                await connection.execute(message)

        try:
            await self._in("postgres", write)
        except OUTAGES:
            return False
        return True

    async def _caught_up(self) -> bool:
        try:
            self._behind = await self._in("tracking", lambda c: c.fetch(_LAGGING))
            if self._behind:
                return False
            ends = dict(await self._in("tracking", lambda c: c.fetch(_EVENT_PARTITIONS)))
            statement = "SELECT partition, log_offset FROM consumer"
            consumed = dict(await self._in("profile", lambda c: c.fetch(statement)))
        except OUTAGES as error:
            self._behind = error
            return False
        self._behind = {"profile": consumed, "log": ends}
        return consumed == ends

    async def _held(self, workspace_id: UUID) -> Held:
        feed = "SELECT data FROM feed WHERE workspace_id = $1"
        rows = await self._in("profile", lambda c: c.fetch(feed, workspace_id))
        count = "SELECT count(*) FROM quarantine WHERE workspace_id = $1"
        quarantined = [
            await self._in(name, lambda c: c.fetchval(count, workspace_id))
            for name in ("tracking", "profile")
        ]
        told = [
            change.data["message_id"]
            for (data,) in rows
            for change in unpack(data, Change)
            if change.type == "event"
        ]
        return Held(len(told), len(set(told)), sum(quarantined))

    async def _in(self, database: str, ask: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        connection = await asyncpg.connect(
            host=self._socket,
            user=SUPERUSER,
            password=(self._home / "password").read_text(),
            database=database,
            timeout=5,
        )
        try:
            return await ask(connection)
        finally:
            await connection.close(timeout=5)
