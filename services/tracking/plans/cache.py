"""The tracking plans that sources run, compiled, in an ingestion process."""

from uuid import UUID

from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.plans import store
from services.tracking.plans.apply import Plan
from services.tracking.sources.follow import Kept, RunningPlan, SourceSettings

_MAX_KEPT = 1_000


class Plans:
    """``of`` from any request."""

    def __init__(self, maker: SessionMaker, sources: SourceSettings) -> None:
        self._maker = maker
        self._sources = sources
        self._kept = Kept(_MAX_KEPT, self._load)

    async def of(self, workspace_id: UUID, source_id: str) -> Plan | None:
        """The plan of a source, None where it runs none. ``Unavailable`` when it cannot be known:
        an event must not pass a plan that would refuse it."""
        running = (await self._sources.of(workspace_id, source_id)).plan
        return None if running is None else await self._kept.get(workspace_id, running)

    async def _load(self, workspace_id: UUID, running: RunningPlan) -> Plan | None:
        async with workspace_tx(self._maker, workspace_id) as session:
            document = await store.document(session, running.plan_id, running.version)
        if document is None:
            return None
        return Plan(running.plan_id, running.version, running.mode, document)
