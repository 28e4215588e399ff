"""The exporter: makes the copies that were asked for, one after the other."""

import asyncio
from datetime import datetime
from typing import IO
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.exc import DBAPIError

from services.kit.feeds import Bell
from services.kit.postgres import workspace_tx
from services.kit.problems import Unavailable
from services.kit.waiting import came
from services.profile.clock import Clock
from services.profile.erasure import store as people
from services.profile.exports import store
from services.profile.exports.bundle import Sources, bundle
from services.profile.exports.tables import ProfileExportRow

log = structlog.get_logger(__name__)

BELL = "exports"
"""What is rung when a copy was asked for."""
PART_BYTES = 1024 * 1024
_WAITING_SECONDS = 2.0
_IDLE_SECONDS = 60.0


class Exporter:
    """Made again from the start after a crash: nothing shows a file before it is whole."""

    def __init__(self, sources: Sources, bell: Bell, clock: Clock) -> None:
        self._sources = sources
        self._bell = bell
        self._clock = clock

    async def run(self) -> None:
        while True:
            rung = self._bell.listen(BELL)
            try:
                waiting = not await self.advance()
            except (DBAPIError, OSError) as error:
                log.warning("exports_wait", error=type(error).__name__)
                waiting = True
            await came(rung, _WAITING_SECONDS if waiting else _IDLE_SECONDS)

    async def advance(self) -> bool:
        """Makes every copy that can be made now, and deletes old ones; whether none is left."""
        now = self._clock.now()
        async with self._sources.maker.begin() as session:
            await store.expire(session, now)
            found = await store.open_exports(session)
        through = True
        for workspace_id, export_id in found:
            try:
                await self._make(workspace_id, export_id, now)
            except (Unavailable, httpx2.HTTPStatusError) as error:
                log.warning("export_waits", export_id=str(export_id), error=type(error).__name__)
                through = False
        return through

    async def _make(self, workspace_id: UUID, export_id: UUID, now: datetime) -> None:
        maker = self._sources.maker
        async with workspace_tx(maker, workspace_id) as session:
            row = await store.find(session, workspace_id, export_id)
            if row is None:
                return
            person = await people.person(session, workspace_id, row.profile_id)
        async with bundle(self._sources, workspace_id, person) as file:
            await self._keep(row, file, now)

    async def _keep(self, row: ProfileExportRow, file: IO[bytes], now: datetime) -> None:
        async with workspace_tx(self._sources.maker, row.workspace_id) as session:
            await store.drop_parts(session, row)
            number = size = 0
            while part := await asyncio.to_thread(file.read, PART_BYTES):
                await store.add_part(session, row, number, part)
                number, size = number + 1, size + len(part)
            done = await store.settle(session, row, state="ready", size_bytes=size, finished_at=now)
            if not done:
                # The person was erased meanwhile.
                await session.rollback()
