"""What receipts lead to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import trace_store
from services.orchestrator.messages import tell as message_tell
from services.orchestrator.policies import store as policies
from services.orchestrator.receipts import store, tell
from services.orchestrator.receipts.model import NewReceipt
from services.orchestrator.suppressions import service as suppressions


async def record(
    session: AsyncSession,
    workspace_id: UUID,
    receipts: Sequence[NewReceipt],
    now: int,
    *,
    counting: bool,
) -> None:
    """Write receipts, tell of those that are new, and heed what they say of the address."""
    new = await store.add(session, workspace_id, _summed(receipts), counting=counting)
    await trace_store.queue_outcomes(session, workspace_id, tell.outcomes(new))
    await suppressions.heed(session, workspace_id, [receipt for receipt, _ in new], now)


async def settle(
    session: AsyncSession, workspace_id: UUID, message_ids: Mapping[UUID, bool], now: int
) -> None:
    """Settle those of these messages that are unknown, by what is known of them by now. True: the
    provider says that it has the message."""
    settled = await store.settle(session, workspace_id, message_ids, now)
    failed = [row for row in settled if row.state == "failed"]
    await policies.give_back(session, workspace_id, failed)
    outcomes = message_tell.outcomes(settled, now)
    await trace_store.queue_outcomes(session, workspace_id, outcomes)


def _summed(receipts: Iterable[NewReceipt]) -> list[tuple[NewReceipt, int, int]]:
    """Each key once: (the earliest, the last time in ms, how often)."""
    found: dict[tuple[UUID, str, str], tuple[NewReceipt, int, int]] = {}
    for receipt in receipts:
        key = receipt.message_id, receipt.kind, receipt.key
        known, last, count = found.get(key, (receipt, receipt.at, 0))
        first = replace(known, at=min(known.at, receipt.at))
        found[key] = first, max(last, receipt.at), count + 1
    return list(found.values())
