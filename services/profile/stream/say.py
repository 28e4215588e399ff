"""Says something for a person in tracking's log, so that a replay of the log says it again."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.tracking import StatementsAccepted
from services.kit.feeds import Bell
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.waiting import came
from services.profile.stream import store

PATIENCE_SECONDS = 2.0
_LOOK_SECONDS = 0.2
"""Another process may be the one that applies the log, and rings no bell here."""


@dataclass(frozen=True)
class Speaker:
    """``tracking``: the role ingest. Ends no transaction and is called within none."""

    tracking: ServiceClient
    sessionmaker: SessionMaker
    bell: Bell

    async def say(self, workspace_id: UUID, calls: Sequence[dict[str, Any]]) -> bool:
        """Append calls, shaped as the SDKs send them; they are durable when this returns.

        True when profiles know it already, so that a reader sees it; False when that takes longer
        than ``PATIENCE_SECONDS``. ``Unavailable`` where nothing was appended for sure.
        """
        response = await self.tracking.request(
            "POST",
            "/internal/v1/statements",
            workspace_id=workspace_id,
            json={"batch": list(calls)},
        )
        response.raise_for_status()
        offset = StatementsAccepted.model_validate_json(response.content).offset
        return await self._applied(workspace_id, offset)

    async def _applied(self, workspace_id: UUID, offset: int) -> bool:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            rung = self.bell.listen(str(workspace_id))
            async with workspace_tx(self.sessionmaker, workspace_id) as session:
                if (await store.place(session, workspace_id)).log_offset >= offset:
                    return True
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0:
                return False
            await came(rung, min(remaining, _LOOK_SECONDS))
