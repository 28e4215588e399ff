"""Policies where the sender claims: arbiter, quiet hours, caps, in this order and one transaction.

What the gate bars or what is too old is skipped before. Caps come last, so that only what goes out
now is counted; what waited is judged anew when its time comes (semantics QH-4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.policies import claim_store, judge, store
from services.orchestrator.policies.claim_store import Opening
from services.orchestrator.policies.judge import Counted, Waiting
from services.orchestrator.policies.model import Arbiter, PoliciesDocument, QuietHours
from services.orchestrator.policies.store import Freed

Reserved = Mapping[UUID, Sequence[str]]
"""Where messages are counted from now on, as the ledger keeps it."""


@dataclass(slots=True)
class Block:
    """Locked messages that policies are about, the first to go first, and what becomes of them."""

    waiting: Sequence[Waiting]
    held: dict[UUID, tuple[str, int]] = field(default_factory=dict)
    """Reason and until when, ms."""
    skipped: dict[UUID, str] = field(default_factory=dict)

    def left(self) -> list[Waiting]:
        return [m for m in self.waiting if m.id not in self.held and m.id not in self.skipped]


async def hold_back(
    session: AsyncSession,
    workspace_id: UUID,
    ids: Sequence[UUID],
    document: PoliciesDocument | None,
    barred: Sequence[Row[Any]],
    now: int,
) -> tuple[list[Row[Any]], Reserved]:
    """Of these locked messages, hold or skip what policies say, and count the rest.

    The skipped, and what is to be written of the rest when they are claimed. ``barred`` are those
    that were skipped already: they count no longer.
    """
    if document is None or document.idle:
        await store.give_back(session, workspace_id, barred)
        return [], {}
    block = Block(await claim_store.waiting(session, workspace_id, ids))
    if document.arbiter is not None:
        await _arbitrate(session, workspace_id, block, document.arbiter, now)
    if document.quiet_hours is not None:
        await _keep_quiet(session, workspace_id, block, document, document.quiet_hours, now)
    freed = [Freed.of(row) for row in barred]
    reserved = await _reserve(session, workspace_id, block, document, freed, now)
    await claim_store.hold(session, workspace_id, block.held, now)
    return await claim_store.skip(session, workspace_id, block.skipped, now), reserved


async def _arbitrate(
    session: AsyncSession, workspace_id: UUID, block: Block, arbiter: Arbiter, now: int
) -> None:
    window = 1_000 * arbiter.window_seconds
    asking = []
    for message in block.waiting:
        if message.reserved:
            continue
        if now < message.created_at + window:
            block.held[message.id] = "arbiter", message.created_at + window
        else:
            asking.append(message)
    ids = [each.id for each in asking]
    rivals = await claim_store.rivals_of(session, workspace_id, ids, window, now)
    if not rivals:
        return
    journeys = {each.journey_id for group in rivals.values() for each in group}
    journeys |= {each.journey_id for each in asking}
    worth = await claim_store.worth_of(session, journeys)
    keys = await claim_store.keys_of(session, journeys)
    for message in asking:
        best = judge.winner(message, rivals[message.id], worth) if message.id in rivals else None
        if best is not None and arbiter.others == "wait":
            block.held[message.id] = "arbiter", now + window
        elif best is not None:
            block.skipped[message.id] = f"arbiter: {keys[best.journey_id]}"


async def _keep_quiet(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    document: PoliciesDocument,
    hours: QuietHours,
    now: int,
) -> None:
    waits: dict[Opening, list[UUID]] = {}
    for message in block.left():
        until = judge.quiet_until(message, document, now)
        if until is not None:
            waits.setdefault((message.channel_id, until), []).append(message.id)
    before = dict.fromkeys(waits, 0)
    if hours.per_minute is not None:
        sizes = {opening: len(ids) for opening, ids in waits.items()}
        before = await claim_store.queue_up(session, workspace_id, sizes, now)
    for opening, ids in waits.items():
        for place, message_id in enumerate(ids, before[opening]):
            at = judge.release_at(message_id, hours, opening[1], place)
            block.held[message_id] = "quiet_hours", at


async def _reserve(
    session: AsyncSession,
    workspace_id: UUID,
    block: Block,
    document: PoliciesDocument,
    freed: Sequence[Counted],
    now: int,
) -> Reserved:
    """Locks all it counts in at once: two passes could deadlock with another sender."""
    asking = block.left()
    asked = {each.id for each in asking}
    held = [each for each in block.waiting if each.id not in asked and not each.keyed]
    freed = [*freed, *held]
    wanted = {key for each in asking for _, key in judge.keys(each, document)}
    wanted.update(key for each in (*freed, *asking) for key in each.reserved)
    uses = await store.lock_uses(session, workspace_id, wanted)
    changed = judge.give_back(freed, uses)
    found = judge.reserve(asking, document, uses, now)
    for message_id, (cap, again) in found.refused.items():
        if cap.over == "wait":
            block.held[message_id] = f"capped: {cap.name}", again
        else:
            block.skipped[message_id] = f"capped: {cap.name}"
    changed |= found.changed
    kept = {key: judge.kept(uses[key], now) for key in sorted(changed)}
    await store.put_uses(session, workspace_id, kept)
    return {
        message_id: [store.name_of(key) for key in keys]
        for message_id, keys in found.granted.items()
    }
