"""The eraser: takes every open erasure a step further, until its certificate is written."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import structlog
from sqlalchemy.exc import DBAPIError

from services.kit.feeds import Bell
from services.kit.postgres import workspace_tx
from services.kit.problems import Unavailable
from services.kit.waiting import came
from services.profile.erasure import steps, store
from services.profile.erasure.steps import Resources
from services.profile.erasure.store import Open
from services.profile.erasure.tables import ErasureRow

log = structlog.get_logger(__name__)

BELL = "erasures"
"""What is rung when an erasure was begun."""
_WAITING_SECONDS = 2.0
_IDLE_SECONDS = 30.0


class Eraser:
    """``rest_seconds``: at least so long after tables were compacted they are again."""

    def __init__(self, resources: Resources, bell: Bell, rest_seconds: float) -> None:
        self._resources = resources
        self._bell = bell
        self._rest_seconds = rest_seconds
        self._compacted_at: float | None = None

    async def run(self) -> None:
        while True:
            rung = self._bell.listen(BELL)
            try:
                left = await self.advance()
            except (DBAPIError, OSError) as error:
                log.warning("erasures_wait", error=type(error).__name__)
                left = 1
            await came(rung, _WAITING_SECONDS if left else _IDLE_SECONDS)

    async def advance(self) -> int:
        """Every open erasure as far as it can go now; how many are still open."""
        maker = self._resources.maker
        async with maker.begin() as session:
            await store.forget_expired_proof(session, self._resources.clock.now())
            found = await store.open_erasures(session)
        for each in found:
            await steps.rewrite_feed(self._resources, each)
            await self._ask(each, "tracking", steps.ask_tracking)
            await self._ask(each, "orchestrator", steps.ask_orchestrator)
        await self._compact(found)
        for each in found:
            row = await self._row(each)
            others = [row.parts[name]["state"] for name in row.parts if name != "profile"]
            if row.compacted_at is not None and all(state == "done" for state in others):
                await steps.verify(self._resources, each)
        async with maker.begin() as session:
            return len(await store.open_erasures(session))

    async def _ask(
        self, each: Open, name: str, step: Callable[[Resources, Open], Awaitable[None]]
    ) -> None:
        """A service that is away is asked again in the next round."""
        if (await self._row(each)).parts[name]["state"] != "pending":
            return
        try:
            await step(self._resources, each)
        except (Unavailable, httpx2.HTTPStatusError) as error:
            log.warning("erasure_waits", service=name, error=type(error).__name__)

    async def _compact(self, found: list[Open]) -> None:
        """What waits for it here, and at the orchestrator; both rarely, as tables are locked."""
        now = asyncio.get_running_loop().time()
        if self._compacted_at is not None and now < self._compacted_at + self._rest_seconds:
            return
        rows = [(each, await self._row(each)) for each in found]
        own = [each for each, row in rows if row.compacted_at is None]
        theirs = [each for each, row in rows if row.parts["orchestrator"]["state"] == "removed"]
        done = bool(own) and await steps.compact(self._resources, own)
        if theirs:
            try:
                done |= await steps.compact_orchestrator(self._resources, theirs)
            except (Unavailable, httpx2.HTTPStatusError) as error:
                log.warning("erasure_waits", service="orchestrator", error=type(error).__name__)
        if done:
            self._compacted_at = now

    async def _row(self, each: Open) -> ErasureRow:
        async with workspace_tx(self._resources.maker, each.workspace_id) as session:
            row = await store.find(session, each.workspace_id, each.erasure_id)
        assert row is not None, "erasures are never deleted"
        return row
