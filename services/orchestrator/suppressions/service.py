"""What bounces, complaints and refusals mean for later messages."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orchestrator import Withdrawal
from services.orchestrator.delivery.registry import MEDIA
from services.orchestrator.engine import effect_store
from services.orchestrator.messages import gate_store
from services.orchestrator.receipts import store as receipts
from services.orchestrator.receipts.model import NewReceipt
from services.orchestrator.suppressions import store
from services.orchestrator.suppressions.model import SuppressionReason


async def heed(
    session: AsyncSession, workspace_id: UUID, new: Sequence[NewReceipt], now: int
) -> None:
    """Close the gate for what new receipts say, in the transaction that writes them.

    Hard bounces and complaints at once, soft bounces when they are too many. A complaint is a no to
    what the message was for, too, and so is an unsubscription at the provider: both go the way of
    the link in the mail, as far as there was one.
    """
    telling = [each for each in new if each.kind in ("bounced", "complained", "unsubscribed")]
    if not telling:
        return
    rows = await receipts.recipients(session, {each.message_id for each in telling})
    messages = {row.id: row for row in rows if row.contact}
    reached = [(messages[each.message_id], each) for each in telling if each.message_id in messages]
    contacts: dict[str, SuppressionReason] = {}
    for message, receipt in reached:
        reason = _reason(message, receipt)
        if reason is not None:
            # Of several the complaint says most.
            known = contacts.get(message.contact)
            contacts[message.contact] = known if known == "complaint" else reason
    bounced = [message.id for message, receipt in reached if receipt.kind == "bounced"]
    if bounced:
        for contact in await store.bouncing(session, workspace_id, bounced, now):
            contacts.setdefault(contact, "soft_bounces")
    await store.add(session, workspace_id, contacts, now)
    await _withdraw(session, workspace_id, [each for each in reached if each[1].kind != "bounced"])


def _reason(message: Row[Any], receipt: NewReceipt) -> SuppressionReason | None:
    """Why this receipt alone suppresses the contact point; None where it does not."""
    if receipt.kind == "complained":
        return "complaint"
    if receipt.kind == "unsubscribed":
        # Where a link says of what, only that ends.
        return None if message.unsubscribe_url else "unsubscribed"
    return "hard_bounce" if receipt.detail.get("bounce") == "hard" else None


async def _withdraw(
    session: AsyncSession, workspace_id: UUID, ended: Sequence[tuple[Row[Any], NewReceipt]]
) -> None:
    """The gate first, then profile, by the message's own link."""
    withdrawals = [
        Withdrawal(
            profile_id=message.profile_id,
            purpose=message.required[-1],
            channel=MEDIA.get(message.channel_type, message.channel_type),
            at=receipt.at,
        )
        for message, receipt in ended
        if message.required
    ]
    await gate_store.close(session, workspace_id, withdrawals)
    effects: list[effect_store.NewEffect] = [
        (message.profile_id, "unsubscribe", {"token": message.unsubscribe_url.rpartition("/")[2]})
        for message, _ in ended
        if message.unsubscribe_url
    ]
    await effect_store.queue(session, workspace_id, effects)
