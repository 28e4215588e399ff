"""The identity follower: keeps the map subject → profile from profile's change feed, and begins the
erasures that stand in it.

Two steps with a position each, both safe to repeat: changes of the feed go into PostgreSQL, and
what changed there goes into ClickHouse.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.kit.feeds import FeedClient, FeedPage
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.kit.workers import Workers
from services.tracking.erasure import service as erasure
from services.tracking.erasure.seal import Seal
from services.tracking.identity import store
from services.tracking.identity.fold import Link, fold
from services.tracking.log.store import advance, position

log = structlog.get_logger(__name__)

NAME = "identity"
PAGE_ROWS = 500
PUSH_ROWS = 50_000
_LOOK_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Erasures:
    """Where people go whom profile has erased: ``ring`` wakes the worker."""

    seal: Seal
    ring: Callable[[], None]


class IdentityFollower:
    """One task per workspace that profile knows; profile being away is waited over."""

    def __init__(
        self,
        maker: SessionMaker,
        clickhouse: ClickHouse,
        feed: FeedClient,
        workers: Workers,
        erasures: Erasures,
    ) -> None:
        self._maker = maker
        self._clickhouse = clickhouse
        self._feed = feed
        self._workers = workers
        self._erasures = erasures
        self._followed: set[str] = set()

    async def run(self) -> None:
        """Looks for new workspaces for ever."""
        pause = _LOOK_SECONDS
        while True:
            try:
                for name in await self._feed.partitions():
                    if name not in self._followed:
                        self._followed.add(name)
                        self._workers.start(f"{NAME}:{name}", self._follower(name))
                pause = _LOOK_SECONDS
            except (Unavailable, httpx2.HTTPStatusError) as error:
                log.info("profile_feed_unavailable", error=type(error).__name__)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    def _follower(self, partition: str) -> "_Follow":
        return _Follow(self._maker, self._clickhouse, self._feed, UUID(partition), self._erasures)


class _Follow:
    """Follows one workspace; called by the supervisor at start and after each failure."""

    def __init__(
        self,
        maker: SessionMaker,
        clickhouse: ClickHouse,
        feed: FeedClient,
        workspace_id: UUID,
        erasures: Erasures,
    ) -> None:
        self._maker = maker
        self._clickhouse = clickhouse
        self._feed = feed
        self._workspace_id = workspace_id
        self._erasures = erasures

    async def __call__(self) -> None:
        name = str(self._workspace_id)
        async with self._maker.begin() as session:
            after = await position(session, store.FOLLOWER, name)
        await self._push(after)
        async for page in self._feed.follow(name, after, limit=PAGE_ROWS):
            after = await self.apply(after, page)
            await self._push(after)

    async def apply(self, after: int, page: FeedPage) -> int:
        """Takes over a page's changes; the new position."""
        end = page.rows[-1].offset
        links = await asyncio.to_thread(
            lambda: [link for row in page.rows for link in row.entries(Link)]
        )
        erased = [link for link in links if link.type == "profile.erased"]
        async with workspace_tx(self._maker, self._workspace_id) as session:
            await store.apply(session, self._workspace_id, fold(links), end)
            for link in erased:
                await self._erase(session, link)
            await advance(session, store.FOLLOWER, str(self._workspace_id), after, end)
        if erased:
            self._erasures.ring()
        return end

    async def _erase(self, session: AsyncSession, link: Link) -> None:
        """An erasure that was begun after the change was written, by a call, is not repeated."""
        await erasure.begin(
            session,
            self._erasures.seal,
            self._workspace_id,
            UUID(link.profile_id),
            datetime.now(UTC),
            subjects=[UUID(each) for each in link.data.subject_ids],
            since=datetime.fromtimestamp(link.at / 1000, UTC),
        )

    async def _push(self, until: int) -> None:
        pause = 0.1
        while True:
            try:
                if not await self.push_block(until):
                    return
            except ClickHouseError as error:
                log.warning("identity_push_failed", error=str(error)[:300], pause=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def push_block(self, until: int) -> bool:
        """Brings the next changed rows into ClickHouse; False when there are none left."""
        name = str(self._workspace_id)
        async with workspace_tx(self._maker, self._workspace_id) as session:
            after = await position(session, store.PUSHER, name)
            rows = await store.changed(session, self._workspace_id, after, until, PUSH_ROWS)
        if not rows:
            return False
        await store.push(self._clickhouse, rows)
        async with self._maker.begin() as session:
            await advance(session, store.PUSHER, name, after, max(row.version for row in rows))
        return True
