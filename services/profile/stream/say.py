"""Says something for a person in tracking's log, so that a replay of the log says it again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.contracts.tracking import SaidAccepted
from services.kit.feeds import Bell
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import InvalidRequest
from services.kit.waiting import came
from services.profile.stream import store
from services.profile.traits.policy import API

PATIENCE_SECONDS = 5.0
"""How long a change that is in the log is waited for."""
_LOOK_SECONDS = 0.2
"""Another process may be the one that applies the log, and rings no bell here."""


_CALL_IDS = {"user_id": "userId", "anonymous_id": "anonymousId"}


def naming(ids: Mapping[str, str]) -> dict[str, Any]:
    """The parts of a call that name a person by these identifiers, by namespace."""
    call: dict[str, Any] = {_CALL_IDS[n]: value for n, value in ids.items() if n in _CALL_IDS}
    others = [{"type": n, "id": value} for n, value in ids.items() if n not in _CALL_IDS]
    return {**call, "context": {"externalIds": others}} if others else call


async def append(
    tracking: ServiceClient,
    workspace_id: UUID,
    source_id: str,
    calls: Sequence[dict[str, Any]],
    *,
    whole: bool = False,
) -> SaidAccepted:
    """Put calls, shaped as the SDKs send them, into the log. ``tracking``: the role ingest.

    Returns once what is not refused is durable; ``Unavailable`` where it may not be. ``whole``: all
    of it or nothing, whatever tracking plans say.
    """
    response = await tracking.request(
        "POST",
        "/internal/v1/events",
        workspace_id=workspace_id,
        params={"source_id": source_id, "whole": whole},
        json={"batch": list(calls)},
    )
    response.raise_for_status()
    return SaidAccepted.model_validate_json(response.content)


@dataclass(frozen=True, slots=True)
class Speaker:
    """``tracking``: the role ingest. Ends no transaction and is called within none."""

    tracking: ServiceClient
    sessionmaker: SessionMaker
    bell: Bell

    async def say(
        self, workspace_id: UUID, calls: Sequence[dict[str, Any]], *, whole: bool = True
    ) -> bool:
        """Append calls as the API's; they are durable when this returns.

        True when profiles know it already, so that a reader sees it; False when that takes longer
        than ``PATIENCE_SECONDS``. ``Unavailable`` where nothing was appended for sure,
        ``InvalidRequest`` for the first call that is refused; ``whole`` as in ``append``.
        """
        accepted = await append(self.tracking, workspace_id, API, calls, whole=whole)
        for refused in accepted.refused:
            raise InvalidRequest.at("#" + (refused.pointer or "/traits"), refused.detail)
        return await self._applied(workspace_id, accepted.offset)

    async def _applied(self, workspace_id: UUID, offset: int) -> bool:
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            rung = self.bell.listen(str(workspace_id))
            async with workspace_tx(self.sessionmaker, workspace_id) as session:
                if (await store.place(session, workspace_id)).log_offset >= offset:
                    return True
            remaining = deadline - asyncio.get_running_loop().time()
            if remaining <= 0 or self.bell.closed:
                return False
            await came(rung, min(remaining, _LOOK_SECONDS))
