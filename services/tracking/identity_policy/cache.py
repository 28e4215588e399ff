"""The identity policies of workspaces, compiled, in an ingestion process."""

from uuid import UUID

from services.identifiers import BUILT_IN, Policy
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.identity_policy import store
from services.tracking.sources.follow import Kept, SourceSettings

_MAX_KEPT = 1_000
_Key = tuple[UUID, int]


class Policies:
    """``of`` from any request."""

    def __init__(self, maker: SessionMaker, sources: SourceSettings) -> None:
        self._maker = maker
        self._sources = sources
        self._kept: Kept[_Key, Policy] = Kept(_MAX_KEPT, self._load)

    async def of(self, workspace_id: UUID) -> Policy:
        """``Unavailable`` when it cannot be known."""
        version = await self._sources.policy_of(workspace_id)
        if version is None:
            return BUILT_IN
        return await self._kept.get(workspace_id, (workspace_id, version))

    async def _load(self, workspace_id: UUID, key: _Key) -> Policy | None:
        async with workspace_tx(self._maker, workspace_id) as session:
            return await store.find(session, workspace_id, key[1])
