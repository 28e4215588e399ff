"""The identity policies of workspaces, compiled, for the routes of this process."""

import asyncio
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.identity import IdentityPolicy
from services.identifiers import BUILT_IN, Policy
from services.profile.identity_policy import store

KEEP_SECONDS = 2.0
"""As long as ingestion may take to act on a change."""
_MAX_KEPT = 10_000


class Policies:
    def __init__(self) -> None:
        self._kept: dict[UUID, tuple[float, Policy]] = {}

    async def of(self, session: AsyncSession, workspace_id: UUID) -> Policy:
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(workspace_id)
        if kept is not None and now < kept[0]:
            return kept[1]
        found = await self._read(session, workspace_id, kept)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[workspace_id] = (now + KEEP_SECONDS, found)
        return found

    def forget(self, workspace_id: UUID) -> None:
        self._kept.pop(workspace_id, None)

    async def _read(
        self, session: AsyncSession, workspace_id: UUID, kept: tuple[float, Policy] | None
    ) -> Policy:
        version = await store.newest_version(session, workspace_id)
        if kept is not None and kept[1].version == version:
            return kept[1]
        stored = await store.newest(session, workspace_id)
        if stored is None:
            return BUILT_IN
        return Policy(IdentityPolicy(version=stored.version, namespaces=stored.namespaces))
