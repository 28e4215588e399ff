"""Expires events by the policies of their workspaces, and refused events by their age."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking import metrics
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.retention import compile, store

log = structlog.get_logger(__name__)

PASS_SECONDS = 12 * 3600.0
"""Twice in the 24 hours that are promised; each pass writes parts anew, so not more often."""
_RETRY_SECONDS = 60.0
BATCH_ROWS = 1000


def _now() -> datetime:
    return datetime.now(UTC)


class Expiry:
    """``quarantine_age`` None: refused events stay."""

    def __init__(
        self,
        maker: SessionMaker,
        clickhouse: ClickHouse,
        quarantine_age: timedelta | None,
        now: Callable[[], datetime] = _now,
        *,
        cluster: Cluster | None = None,
    ) -> None:
        self._maker = maker
        self._clickhouse = clickhouse
        self._quarantine_age = quarantine_age
        self._now = now
        self._cluster = cluster

    async def run(self) -> None:
        while True:
            try:
                await self.expire_all()
            except ClickHouseError as error:
                log.warning("expiry_waits", error=str(error)[:300])
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await asyncio.sleep(PASS_SECONDS)

    async def expire_all(self) -> int:
        """Number of events that expired, refused ones not counted."""
        await self._expire_refused()
        async with self._maker.begin() as session:
            workspaces = await store.workspaces(session)
        expired = 0
        for workspace_id in workspaces:
            expired += await self._expire(workspace_id)
        await store.purge(self._clickhouse, self._cluster)
        return expired

    async def _expire(self, workspace_id: UUID) -> int:
        async with workspace_tx(self._maker, workspace_id) as session:
            policies = await store.policies(session)
        if not policies:
            return 0
        condition, params = compile.expired(policies, self._now())
        found = await store.expired(self._clickhouse, workspace_id, condition, params)
        for partition, _ in found:
            await store.expire(
                self._clickhouse, self._cluster, workspace_id, partition, condition, params
            )
        expired = sum(number for _, number in found)
        metrics.EXPIRED_EVENTS.inc(expired)
        if expired:
            log.info("events_expired", workspace_id=str(workspace_id), events=expired)
        return expired

    async def _expire_refused(self) -> None:
        if self._quarantine_age is None:
            return
        before = self._now() - self._quarantine_age
        gone = BATCH_ROWS
        while gone == BATCH_ROWS:
            async with self._maker.begin() as session:
                gone = await store.expire_refused(session, before, BATCH_ROWS)
            metrics.EXPIRED_REFUSALS.inc(gone)
