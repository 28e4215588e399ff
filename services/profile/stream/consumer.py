"""One workspace's consumer: its log, its timers and its new rules, while the lease holds."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.contracts.events import Event
from services.kit.feeds import Bell, FeedClient, FeedPage, FeedRow
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.kit.seal import Seal
from services.profile.accounts import asking
from services.profile.change_subscriptions.deliver import Deliveries
from services.profile.clock import Clock, to_ms
from services.profile.computed import backfill as computed_past
from services.profile.erasure import suppression
from services.profile.erasure.personal import Person
from services.profile.feed import store as feed
from services.profile.identity_policy import worker as identity_policy
from services.profile.merges import store as merges
from services.profile.recounts import worker as recounts
from services.profile.rules import backfill, past
from services.profile.rules import store as registered
from services.profile.rules.service import RuleCache
from services.profile.stream import blocks, poison, store
from services.profile.stream.block import Block, decode
from services.profile.stream.effects import Effects
from services.profile.traits.store import PolicyCache

log = structlog.get_logger(__name__)

MAX_BLOCK_EVENTS = 20_000


@dataclass(frozen=True)
class Resources:
    """What workers share with the routes of this process."""

    engine: AsyncEngine
    sessionmaker: SessionMaker
    tracking: ServiceClient
    log: FeedClient
    bell: Bell
    clock: Clock
    rules: RuleCache
    policies: PolicyCache
    partners: httpx2.AsyncClient
    seal: Seal[Person]
    computing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    """Predictions take a core and much memory: one at a time, of whatever workspace."""


class Superseded(Exception):
    """The partition is not where this consumer left it: somebody else applied a block."""


def rules_bell(workspace_id: UUID) -> str:
    """What is rung when a rule was registered."""
    return f"rules:{workspace_id}"


class Consumer:
    def __init__(
        self, resources: Resources, workspace_id: UUID, *, block_rows: int, retry_seconds: float
    ) -> None:
        self._resources = resources
        self._workspace_id = workspace_id
        self._block_rows = block_rows
        self._retry_seconds = retry_seconds
        self._next_due: int | None = None
        self._sooner = asyncio.Event()
        self._done = 0
        """The log offset that is committed: behind it the log may be trimmed."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._expire())
            tasks.create_task(self._complete_rules())
            tasks.create_task(self._deliveries().run())
            tasks.create_task(self._ask_members())
            tasks.create_task(self._tell_policy())

    async def _tell_policy(self) -> None:
        shared = self._resources
        await identity_policy.follow(
            *(shared.sessionmaker, shared.tracking, shared.bell, shared.clock),
            *(self._workspace_id, self._retry_seconds),
        )

    def _deliveries(self) -> Deliveries:
        with_ = self._resources
        return Deliveries(
            with_.sessionmaker, with_.partners, with_.bell, with_.clock, self._workspace_id
        )

    async def _follow(self) -> None:
        async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
            after = (await store.place(session, self._workspace_id)).log_offset
        self._done = after
        # One block is read and decoded while the one before is applied.
        ahead: asyncio.Queue[Block] = asyncio.Queue(1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(after, ahead))
            while True:
                block = await ahead.get()
                await self._apply(after, block)
                after = self._done = block.end

    async def _read(self, after: int, ahead: asyncio.Queue[Block]) -> None:
        pages = self._resources.log.follow(
            str(self._workspace_id), after, limit=self._block_rows, done=lambda: self._done
        )
        async for page in pages:
            for rows in _blocks(page):
                await ahead.put(await asyncio.to_thread(_prepared, rows))

    async def _apply(self, after: int, block: Block) -> None:
        try:
            followed = await self._write(after, block)
        except DBAPIError as error:
            if not poison.is_poison(error):
                raise
            followed = await self._write_without_poison(after, block, error)
        self._resources.bell.ring(str(self._workspace_id))
        self._wake_at(followed.next_due)

    async def _write(
        self,
        after: int,
        block: Block,
        *,
        refused: Sequence[tuple[int, Event]] = (),
        reason: str = "",
        keep: bool = True,
    ) -> Effects:
        resources, workspace_id = self._resources, self._workspace_id
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            place = await store.lock(session, workspace_id)
            if place.log_offset != after:
                raise Superseded(f"{workspace_id} is at {place.log_offset}, not at {after}")
            block = block.without(
                await suppression.suppressed(session, resources.seal, workspace_id, block.events)
            )
            now_ms = to_ms(resources.clock.now())
            known = await resources.rules.get(session, workspace_id, place.rules_revision)
            policy = await resources.policies.get(session, workspace_id, place.rules_revision)
            followed = await blocks.apply(session, workspace_id, block, known, policy, now_ms)
            await store.quarantine(session, workspace_id, refused, reason)
            await store.advance(session, workspace_id, block.end)
            if not keep:
                await session.rollback()
        if followed.asks_members:
            resources.bell.ring(asking.accounts_bell(workspace_id))
        return followed

    async def _write_without_poison(self, after: int, block: Block, error: DBAPIError) -> Effects:
        """Set aside the events that cannot be written and go on with their neighbours."""

        async def works(part: Block) -> bool:
            try:
                await self._write(after, part, keep=False)
            except DBAPIError as fault:
                if not poison.is_poison(fault):
                    raise
                return False
            return True

        places = await poison.find(block, works)
        if not places:
            raise error
        log.error("events_quarantined", workspace_id=str(self._workspace_id), count=len(places))
        refused = [(block.seqs[i], block.events[i]) for i in sorted(places)]
        reason = type(error.orig).__name__
        return await self._write(after, block.without(places), refused=refused, reason=reason)

    def _wake_at(self, due: int | None) -> None:
        if due is not None and (self._next_due is None or due < self._next_due):
            self._next_due = due
            self._sooner.set()

    async def _expire(self) -> None:
        """Windows end by the clock: sleep until the earliest one may, ask again, and so on."""
        resources, workspace_id = self._resources, self._workspace_id
        while True:
            more = True
            while more:
                async with workspace_tx(resources.sessionmaker, workspace_id) as session:
                    place = await store.lock(session, workspace_id)
                    known = await resources.rules.get(session, workspace_id, place.rules_revision)
                    now_ms = to_ms(resources.clock.now())
                    changes, more = await backfill.expire(session, workspace_id, known, now_ms)
                    if changes:
                        await feed.append(session, workspace_id, changes)
                    self._sooner.clear()
                    self._next_due = await backfill.next_due(session, workspace_id)
                if changes:
                    resources.bell.ring(str(workspace_id))
            await resources.clock.wait(self._sooner, self._next_due)

    async def _complete_rules(self) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        while True:
            registered_now = resources.bell.listen(rules_bell(workspace_id))
            try:
                await self._count_past()
                async with workspace_tx(resources.sessionmaker, workspace_id) as session:
                    keys = set(await backfill.start_sweeps(session, workspace_id))
                if keys:
                    await self._sweep(keys)
                    # Timers of stages may have been set anew.
                    self._sooner.set()
                    continue
                # Who is counted anew is so for traits whose past is whole.
                await self._compute_past()
                await self._count_anew()
            except Unavailable as error:
                log.info("backfill_waits", workspace_id=str(workspace_id), reason=error.detail)
                await asyncio.sleep(self._retry_seconds)
                continue
            await resources.clock.wait(registered_now, None)

    async def _count_past(self) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            pending = await registered.pending_leaves(session, workspace_id)
            unmerged = await merges.last_unmerge(session, workspace_id)
        for leaves in past.together(pending):
            async with (
                past.fetch(
                    resources.tracking, workspace_id, leaves, min_feed_offset=unmerged
                ) as found,
                workspace_tx(resources.sessionmaker, workspace_id) as session,
            ):
                await backfill.add(session, workspace_id, leaves, found, unmerged)

    async def _count_anew(self) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        rounds = recounts.rounds(
            resources.sessionmaker,
            resources.tracking,
            resources.clock,
            resources.rules,
            workspace_id,
        )
        async for settled in rounds:
            resources.bell.ring(str(workspace_id))
            self._wake_at(settled.next_due)

    async def _compute_past(self) -> None:
        r, workspace_id = self._resources, self._workspace_id
        async for due in computed_past.complete(
            r.sessionmaker, r.tracking, r.rules, r.clock, workspace_id
        ):
            r.bell.ring(str(workspace_id))
            self._wake_at(due)

    async def _sweep(self, keys: set[str]) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            now_ms = to_ms(resources.clock.now())
            sweep = await backfill.plan_sweep(session, workspace_id, keys, now_ms)
        while not sweep.done:
            async with workspace_tx(resources.sessionmaker, workspace_id) as session:
                place = await store.lock(session, workspace_id)
                known = await resources.rules.get(session, workspace_id, place.rules_revision)
                now_ms = to_ms(resources.clock.now())
                settled, sweep = await backfill.sweep(session, workspace_id, known, sweep, now_ms)
                if settled.changes:
                    await feed.append(session, workspace_id, settled.changes)
            resources.bell.ring(str(workspace_id))
            self._wake_at(settled.next_due)

    async def _ask_members(self) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        while True:
            rung = resources.bell.listen(asking.accounts_bell(workspace_id))
            more = True
            while more:
                async with workspace_tx(resources.sessionmaker, workspace_id) as session:
                    place = await store.lock(session, workspace_id)
                    known = await resources.rules.get(session, workspace_id, place.rules_revision)
                    now_ms = to_ms(resources.clock.now())
                    settled, more = await asking.step(session, workspace_id, known, now_ms)
                    await feed.append(session, workspace_id, settled.changes)
                resources.bell.ring(str(workspace_id))
                self._wake_at(settled.next_due)
            await resources.clock.wait(rung, None)


def _blocks(page: FeedPage) -> Iterator[list[FeedRow]]:
    """The rows of a page in portions of a bounded number of events, at least one row each."""
    rows: list[FeedRow] = []
    events = 0
    for row in page.rows:
        if rows and events + row.count > MAX_BLOCK_EVENTS:
            yield rows
            rows, events = [], 0
        rows.append(row)
        events += row.count
    if rows:
        yield rows


def _prepared(rows: list[FeedRow]) -> Block:
    return decode(rows).prepare()
