"""Looks into an instance's PostgreSQL as its superuser: how far readers are, what they hold."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import asyncpg

from infra.runner.cluster import SUPERUSER
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

    def await_readers(self, within: float) -> None:
        """Until the sequencer, the loader and profile are at the end of the log."""
        until(
            lambda: asyncio.run(self._caught_up()),
            within=within,
            what="all readers at the end of the log",
        )

    def held(self) -> Held:
        return asyncio.run(self._held())

    async def _caught_up(self) -> bool:
        try:
            if await self._in("tracking", lambda c: c.fetch(_LAGGING)):
                return False
            ends = dict(await self._in("tracking", lambda c: c.fetch(_EVENT_PARTITIONS)))
            statement = "SELECT partition, log_offset FROM consumer"
            return dict(await self._in("profile", lambda c: c.fetch(statement))) == ends
        except OUTAGES:
            return False

    async def _held(self) -> Held:
        rows = await self._in("profile", lambda c: c.fetch("SELECT data FROM feed"))
        count = "SELECT count(*) FROM quarantine"
        quarantined = [
            await self._in(name, lambda c: c.fetchval(count)) for name in ("tracking", "profile")
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
            host=json.loads((self._home / "socket").read_text()),
            user=SUPERUSER,
            password=(self._home / "password").read_text(),
            database=database,
            timeout=5,
        )
        try:
            return await ask(connection)
        finally:
            await connection.close(timeout=5)
