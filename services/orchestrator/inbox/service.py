"""What people do with what lies in their inbox."""

from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.errors import InboxItemNotFound
from services.orchestrator.inbox import store
from services.orchestrator.inbox.model import InboxItem
from services.orchestrator.receipts import service as receipts
from services.orchestrator.receipts.model import NewReceipt

Action = Literal["read", "click", "archive"]


def bell(workspace_id: UUID, profile_id: UUID) -> str:
    """Rings when the person's inbox may have changed."""
    return f"inbox:{workspace_id}:{profile_id}"


async def act(
    session: AsyncSession,
    workspace_id: UUID,
    profile_id: UUID,
    item_id: UUID,
    action: Action,
    now: int,
) -> InboxItem:
    """Mark an item; a second time changes nothing. A click is a reading, too. Reading and clicking
    become receipts of the message, and so events."""
    await store.lock(session, workspace_id, [profile_id])
    item = await store.find(session, profile_id, item_id)
    if item is None:
        raise InboxItemNotFound(f"There is no message {item_id} in this inbox.")
    if action == "archive":
        await store.mark(session, profile_id, item_id, "archived_at", now)
    else:
        await store.mark(session, profile_id, item_id, "read_at", now)
        found = [NewReceipt(item_id, "opened", now)]
        if action == "click":
            detail = {"link": 0} | ({"url": item.url} if item.url else {})
            found.append(NewReceipt(item_id, "clicked", now, "0", detail=detail))
        await receipts.record(session, workspace_id, found, now, counting=True)
    return InboxItem.model_validate(await store.find(session, profile_id, item_id))
