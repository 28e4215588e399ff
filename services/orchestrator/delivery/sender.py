"""Sends what the ledger has queued: claim behind the gate, hand over, send, settle."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.postgres import SessionMaker, workspace_tx
from services.orchestrator.channels import store as channels
from services.orchestrator.channels.store import Target
from services.orchestrator.delivery import gate, store
from services.orchestrator.delivery.grouped import Grouped
from services.orchestrator.delivery.kinds.inbox import TYPE as INBOX
from services.orchestrator.delivery.port import HandOver, Tools, Way
from services.orchestrator.delivery.registry import IDEMPOTENT, KINDS
from services.orchestrator.delivery.result import DEAD_ADDRESS, Result
from services.orchestrator.devices import store as devices
from services.orchestrator.devices.store import Reach
from services.orchestrator.engine import answers, trace_store
from services.orchestrator.engine.answers import Answer
from services.orchestrator.engine.library import Library
from services.orchestrator.inbox import store as inbox
from services.orchestrator.inbox.service import bell as inbox_bell
from services.orchestrator.messages import tell
from services.orchestrator.messages.model import Claimed
from services.orchestrator.policies import store as policies
from services.orchestrator.policies.apply import hold_back
from services.orchestrator.policies.model import PoliciesDocument
from services.orchestrator.receipts import service as receipts
from services.orchestrator.suppressions import store as suppressions
from services.orchestrator.suppressions.model import SuppressionReason
from services.orchestrator.times import Clock

log = structlog.get_logger(__name__)

LEASE_MS = 30_000
"""How long messages of a killed process wait for another; a living one extends its leases."""
BATCH = 200
LINGER_SECONDS = 0.02
LONGEST_BACKOFF_MS = 300_000


class Sender:
    """One per process. Ways out are kept per channel as long as its settings stay."""

    def __init__(
        self,
        maker: SessionMaker,
        clock: Clock,
        tools: Tools,
        library: Library,
        *,
        expire_after_ms: int,
    ) -> None:
        self._maker = maker
        self._clock = clock
        self._tools = tools
        self._library = library
        self._expire_after_ms = expire_after_ms
        self._ways: dict[UUID, tuple[Target, Way]] = {}
        self._stopping = False

    async def send_due(self, workspace_id: UUID) -> int:
        """One batch; the number of messages looked at."""
        ids, claims, targets = await self._claim(workspace_id)
        if not claims:
            return len(ids)
        hand_over = Grouped[Claimed, bool](lambda batch: self._hand_over(workspace_id, batch))
        settle = Grouped[tuple[Claimed, Result], None](
            lambda batch: self._settle(workspace_id, batch), LINGER_SECONDS
        )

        async def unless_stopping(claim: Claimed) -> bool:
            return not self._stopping and await hand_over.add(claim)

        async def one(claim: Claimed) -> None:
            result = await self._send(claim, targets.get(claim.channel_id), unless_stopping)
            if result.kind == "lost_lease" and self._stopping:
                result = Result("again", "stopping")
            await settle.add((claim, result))

        extending = asyncio.create_task(self._extend(workspace_id, claims))
        try:
            async with asyncio.TaskGroup() as group:
                for claim in claims:
                    group.create_task(one(claim))
        finally:
            extending.cancel()
        return len(ids)

    async def _extend(self, workspace_id: UUID, claims: Sequence[Claimed]) -> None:
        """Keeps the leases of messages that are not settled yet, as long as we live."""
        while True:
            await asyncio.sleep(LEASE_MS / 3_000)
            try:
                async with workspace_tx(self._maker, workspace_id) as session:
                    await store.extend(session, workspace_id, claims, self._clock() + LEASE_MS)
            except (SQLAlchemyError, OSError) as error:
                log.warning("leases_not_extended", error=type(error).__name__)

    async def give_up_lost(self, workspace_id: UUID) -> None:
        """Messages whose sender died between hand-over and answer become `unknown`."""
        now = self._clock()
        async with workspace_tx(self._maker, workspace_id) as session:
            rows = await store.give_up_lost(session, workspace_id, now, idempotent=IDEMPOTENT)
            await trace_store.queue_outcomes(session, workspace_id, tell.outcomes(rows, now))
            await _settle_told(session, workspace_id, rows, now)

    def stop(self) -> None:
        """From now on nothing more is handed over; what is on its way is finished."""
        self._stopping = True

    def close(self) -> None:
        for _, way in self._ways.values():
            way.close()
        self._ways.clear()

    async def _claim(
        self, workspace_id: UUID
    ) -> tuple[list[UUID], list[Claimed], dict[UUID, Target]]:
        now = self._clock()
        async with workspace_tx(self._maker, workspace_id) as session:
            ids = await store.lock_due(session, workspace_id, now=now, limit=BATCH)
            if not ids:
                return [], [], {}
            document = await policies.current(session, workspace_id)
            oldest = self._oldest(document, now)
            skipped = await gate.skip_barred(session, workspace_id, ids, now=now, oldest=oldest)
            more, reserved = await hold_back(session, workspace_id, ids, document, skipped, now)
            skipped += more
            await trace_store.queue_outcomes(session, workspace_id, tell.outcomes(skipped, now))
            await self._fail(session, workspace_id, skipped, now)
            claims = await store.claim(
                session, workspace_id, ids, now=now, lease_ms=LEASE_MS, reserved=reserved
            )
            targets = await channels.targets(session, {claim.channel_id for claim in claims})
            if self._tools.callback_url is not None:
                targets = {
                    each: replace(target, callback_url=self._tools.callback_url(workspace_id, each))
                    for each, target in targets.items()
                }
            claims = await self._with_devices(session, claims)
        return ids, claims, targets

    def _oldest(self, document: PoliciesDocument | None, now: int) -> dict[str, int]:
        """When the oldest was made that still goes out, by purpose."""
        if document is None:
            oldest = now - self._expire_after_ms
            return {"marketing": oldest, "transactional": oldest}
        expiry = document.expiry
        return {
            "marketing": now - 1_000 * expiry.marketing_seconds,
            "transactional": now - 1_000 * expiry.transactional_seconds,
        }

    async def _fail(
        self, session: AsyncSession, workspace_id: UUID, skipped: Sequence[Row[Any]], now: int
    ) -> None:
        """Who waits for the answer to a webhook that is skipped goes on as if it had failed."""
        hooks = [row for row in skipped if row.channel_type == "webhook"]
        if hooks:
            ids = [row.participant_id for row in hooks]
            waiting = await answers.lock(session, workspace_id, ids)
            found = [_answer(row, {}) for row in hooks]
            await answers.resume(session, workspace_id, self._library, waiting, found, now)

    async def _with_devices(
        self, session: AsyncSession, claims: Sequence[Claimed]
    ) -> list[Claimed]:
        """Pushes name a device; what reaches it now goes with them."""
        named = {
            claim.id: UUID(claim.contact)
            for claim in claims
            if KINDS[claim.channel_type].device is not None and claim.contact is not None
        }
        found = await devices.reach(session, named.values()) if named else {}
        return [
            replace(claim, contact=known.token, device_id=known.id, device_keys=known.keys)
            if (known := found.get(named.get(claim.id, claim.id))) is not None
            else claim
            for claim in claims
        ]

    async def _send(self, claim: Claimed, target: Target | None, hand_over: HandOver) -> Result:
        now = self._clock()
        if target is None:
            return Result("failed", "no_channel")
        if KINDS[target.type].device is not None and claim.device_id is None:
            return Result("failed", "no_device")
        result = await self._way(target).send(claim, hand_over, now)
        tried = claim.attempts >= KINDS[target.type].max_attempts
        if result.kind == "again" and result.retry_at is None and tried:
            return Result("failed", result.reason)
        return result

    def _way(self, target: Target) -> Way:
        known = self._ways.get(target.id)
        if known is None or known[0] != target:
            if known is not None:
                known[1].close()
            known = (target, KINDS[target.type].open(target, self._tools))
            self._ways[target.id] = known
        return known[1]

    async def _hand_over(self, workspace_id: UUID, batch: Sequence[Claimed]) -> list[bool]:
        async with workspace_tx(self._maker, workspace_id) as session:
            held = await store.hand_over(session, workspace_id, batch, self._clock())
        return [claim.id in held for claim in batch]

    async def _settle(
        self, workspace_id: UUID, batch: Sequence[tuple[Claimed, Result]]
    ) -> list[None]:
        now = self._clock()
        again = [
            (claim, result.retry_at or now + backoff_ms(claim.attempts), result.retry_at is None)
            for claim, result in batch
            if result.kind == "again"
        ]
        final = [
            (claim, result.kind, result.reason, result.provider_id)
            for claim, result in batch
            if result.kind in ("accepted", "failed", "unknown")
        ]
        awaited = [(claim, result) for claim, result in batch if "capture" in claim.content]
        items: list[tuple[Row[Any], Mapping[str, Any]]] = []
        async with workspace_tx(self._maker, workspace_id) as session:
            ids = [claim.participant_id for claim, _ in awaited]
            waiting = await answers.lock(session, workspace_id, ids) if ids else {}
            if again:
                await store.release(session, workspace_id, again, now)
            if final:
                # A refusal before DATA fails a message that was only claimed: hand it over first,
                # so that the ledger knows one way only.
                failed = [c for c, r in batch if r.kind == "failed"]
                await store.hand_over(session, workspace_id, failed, now)
                rows = await store.settle(session, workspace_id, final, now)
                unsent = [row for row in rows if row.state == "failed"]
                await policies.give_back(session, workspace_id, unsent)
                await trace_store.queue_outcomes(session, workspace_id, tell.outcomes(rows, now))
                await _settle_told(session, workspace_id, rows, now)
                items = _inbox_items(batch, rows)
                await inbox.add(session, workspace_id, items, now)
                if waiting:
                    captured = {claim.id: result.captured for claim, result in awaited}
                    found = [_answer(row, captured[row.id]) for row in rows if row.id in captured]
                    await answers.resume(session, workspace_id, self._library, waiting, found, now)
            await suppressions.add(session, workspace_id, _dead_contacts(batch), now)
            if gone := list(_dead_devices(batch)):
                await devices.remove_dead(session, workspace_id, gone)
        for row, _ in items:
            self._tools.inbox.ring(inbox_bell(workspace_id, row.profile_id))
        return [None] * len(batch)


async def _settle_told(
    session: AsyncSession, workspace_id: UUID, rows: Sequence[Row[Any]], now: int
) -> None:
    """Of some that nobody knows the provider may have told before we gave up."""
    lost = {row.id: False for row in rows if row.state == "unknown"}
    await receipts.settle(session, workspace_id, lost, now)


def _answer(row: Row[Any], captured: Mapping[str, Any]) -> Answer:
    outcome: Literal["answered", "failed"] = "answered" if row.state == "accepted" else "failed"
    return Answer(row.participant_id, row.node, row.visit, outcome, captured)


def _inbox_items(
    batch: Sequence[tuple[Claimed, Result]], rows: Sequence[Row[Any]]
) -> list[tuple[Row[Any], Mapping[str, Any]]]:
    """What is delivered by being settled. Replays are for nobody's eyes."""
    contents = {claim.id: claim.content for claim, _ in batch}
    return [
        (row, contents[row.id])
        for row in rows
        if (row.channel_type, row.state, row.replay_id) == (INBOX, "accepted", None)
    ]


def _dead_contacts(batch: Sequence[tuple[Claimed, Result]]) -> dict[str, SuppressionReason]:
    return {
        claim.contact: "dead_address"
        for claim, result in batch
        if claim.contact and claim.device_id is None
        if (result.reason or "").startswith(DEAD_ADDRESS)
    }


def _dead_devices(batch: Sequence[tuple[Claimed, Result]]) -> Iterator[Reach]:
    for claim, result in batch:
        if claim.device_id is None or claim.contact is None:
            continue
        if (result.reason or "").startswith(DEAD_ADDRESS):
            yield Reach(claim.device_id, claim.contact, claim.device_keys)


def backoff_ms(attempts: int) -> int:
    """1 s after the first try, doubled after each, at most 5 minutes."""
    return int(min(LONGEST_BACKOFF_MS, 1_000 * 2 ** min(attempts - 1, 20)))
