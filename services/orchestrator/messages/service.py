"""What may happen to a message by hand."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import trace_store
from services.orchestrator.errors import MessageNotFound, MessageStateConflict
from services.orchestrator.messages import store, tell
from services.orchestrator.policies import store as policies
from services.orchestrator.times import system_clock


async def get(session: AsyncSession, message_id: UUID) -> Row[Any]:
    row = await store.find(session, message_id)
    if row is None:
        raise MessageNotFound(f"Message {message_id} does not exist.")
    return row


async def resolve(
    session: AsyncSession, workspace_id: UUID, message_id: UUID, state: str, note: str | None
) -> Row[Any]:
    """Settle an `unknown` message as accepted or failed."""
    before = await get(session, message_id)
    settled = await store.resolve(session, message_id, state, note)
    if settled is None:
        raise MessageStateConflict(
            f"Only unknown messages can be resolved; this one is {before.state}.",
            state=before.state,
        )
    if state == "failed":
        await policies.give_back(session, workspace_id, [settled])
    now = system_clock()
    await trace_store.queue_outcomes(session, workspace_id, tell.outcomes([settled], now))
    return await get(session, message_id)
