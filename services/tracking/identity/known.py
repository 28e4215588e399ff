"""Whether the map of identities is as new as an answer has to be."""

from uuid import UUID

from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.tracking.identity import store


async def check_known(maker: SessionMaker, workspace_id: UUID, wanted: int | None) -> None:
    """``Unavailable`` before row ``wanted`` of profile's change feed was read."""
    if not wanted:
        return
    async with workspace_tx(maker, workspace_id) as session:
        known = await store.known_offset(session, workspace_id)
    if known < wanted:
        detail = f"Identities are known as of row {known} of profile's feed only."
        raise Unavailable(detail, retry_after_seconds=1)
