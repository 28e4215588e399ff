"""Background work: one set of loops per workspace, woken by each other and by the clock."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.kit.feeds import FeedClient
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Problem
from services.kit.waiting import came
from services.orchestrator.delivery import store as delivery
from services.orchestrator.delivery.sender import Sender
from services.orchestrator.engine import (
    audience,
    participant_store,
    position_store,
    trace_store,
)
from services.orchestrator.engine.effect_telling import carry_out
from services.orchestrator.engine.execute import Executor, execute
from services.orchestrator.engine.follow import FeedMoved, Listening, apply, decode
from services.orchestrator.replay import run as replays
from services.orchestrator.schedules import service as schedules
from services.orchestrator.schedules import store as schedule_store
from services.orchestrator.sweeps import store as sweeps
from services.orchestrator.times import Clock

log = structlog.get_logger(__name__)

# What may go wrong for a while and heals by itself; anything else is a bug and ends the process.
TRANSIENT = (Problem, SQLAlchemyError, httpx2.HTTPError, OSError, TimeoutError, FeedMoved)
STOP_SECONDS = 5.0
IDLE_SECONDS = 5.0
"""The slow poll behind the wake-ups (semantics WU-4)."""


@dataclass
class Engine:
    """What the loops share."""

    maker: SessionMaker
    clock: Clock
    feed: FeedClient
    executor: Executor
    sender: Sender
    tracking_ingest: ServiceClient
    replayer: replays.Replayer
    feed_wait_seconds: float
    wait_grace_ms: int


@dataclass
class Workspace:
    """One workspace's state in memory; all of it can be lost."""

    id: UUID
    known_until: int = -(1 << 40)
    due: asyncio.Event = field(default_factory=asyncio.Event)
    queued: asyncio.Event = field(default_factory=asyncio.Event)
    told: asyncio.Event = field(default_factory=asyncio.Event)
    effects: asyncio.Event = field(default_factory=asyncio.Event)
    replays: asyncio.Event = field(default_factory=asyncio.Event)
    scheduled: asyncio.Event = field(default_factory=asyncio.Event)
    sweeps: asyncio.Event = field(default_factory=asyncio.Event)

    def moved(self) -> None:
        """People moved: there may be something to tell and to have carried out."""
        self.told.set()
        self.effects.set()


async def follow_once(engine: Engine, workspace: Workspace, wait: float) -> bool:
    """Read one page of the feed and apply it; True when there may be more at once."""
    library = engine.executor.library
    async with workspace_tx(engine.maker, workspace.id) as session:
        before = await position_store.position(session, workspace.id)
    started = engine.clock()
    page = await engine.feed.read(str(workspace.id), before, wait=wait, workspace_id=workspace.id)
    if page.rows:
        # In a thread: a page holds megabytes, and the API shares this loop.
        changes = await asyncio.to_thread(decode, page.rows)
        end = page.rows[-1].offset
        async with workspace_tx(engine.maker, workspace.id) as session:
            running, heard = await library.running(session)
        profile = engine.executor.profile
        wanted = await audience.of_changes(profile, workspace.id, running, changes, end)
        listening = Listening(running, heard, wanted)
        async with workspace_tx(engine.maker, workspace.id) as session:
            due = await apply(
                session, workspace.id, before, end, changes, library, listening, engine.clock()
            )
        if due:
            workspace.due.set()
        workspace.moved()
    behind = bool(page.rows) and page.rows[-1].offset < page.end
    if not behind:
        # Of this very millisecond more may come, and a tie with a deadline counts as the event.
        known_until = started - 1 - engine.wait_grace_ms
        workspace.known_until = max(workspace.known_until, known_until)
    return behind


async def execute_once(engine: Engine, workspace: Workspace) -> bool:
    """Move one block of due participants; True when there may be more at once."""
    claimed = await execute(
        engine.executor, workspace.id, now=engine.clock(), known_until=workspace.known_until
    )
    if claimed:
        workspace.queued.set()
        workspace.moved()
    return claimed > 0


async def send_once(engine: Engine, workspace: Workspace) -> bool:
    """Send one batch; True when there may be more at once."""
    await engine.sender.give_up_lost(workspace.id)
    sent = await engine.sender.send_due(workspace.id)
    if sent:
        # Those who waited for the answer to a webhook may be due.
        workspace.due.set()
        workspace.moved()
    return sent > 0


async def send_gently(engine: Engine, workspace: Workspace) -> bool:
    """``send_once``, but a stop waits for the answers to what was handed over: each of them that is
    lost leaves a message of which nobody can tell whether it was sent."""
    sending = asyncio.ensure_future(send_once(engine, workspace))
    try:
        return await asyncio.shield(sending)
    except asyncio.CancelledError:
        engine.sender.stop()
        await asyncio.wait([sending], timeout=STOP_SECONDS)
        sending.cancel()
        raise


async def tell_once(engine: Engine, workspace: Workspace) -> bool:
    """Tell tracking one block of outcomes. Told twice after a crash, it counts once."""
    async with workspace_tx(engine.maker, workspace.id) as session:
        block = await trace_store.first_outcomes(session, workspace.id)
    if block is None:
        return False
    row_id, data = block
    response = await engine.tracking_ingest.request(
        "POST", "/internal/v1/outcomes", workspace_id=workspace.id, content=data
    )
    response.raise_for_status()
    async with workspace_tx(engine.maker, workspace.id) as session:
        await trace_store.outcomes_told(session, workspace.id, row_id)
    return True


async def carry_out_once(engine: Engine, workspace: Workspace) -> bool:
    """Have one block of effects carried out; True when there may be more."""
    profile = engine.executor.profile
    return await carry_out(engine.maker, profile, engine.tracking_ingest, workspace.id)


async def schedule_once(engine: Engine, workspace: Workspace) -> bool:
    """Let one page of a schedule's audience in; True when there may be more."""
    ran = await schedules.run_next(engine.executor, workspace.id, engine.clock())
    if ran:
        workspace.due.set()
        workspace.moved()
    return ran


async def sweep_once(engine: Engine, workspace: Workspace) -> bool:
    """Make one block of a sweep due; True when there may be more."""
    async with workspace_tx(engine.maker, workspace.id) as session:
        released = await sweeps.release(session, workspace.id)
    if released:
        workspace.due.set()
    return released is not None


async def replay_once(engine: Engine, workspace: Workspace) -> bool:
    """Run one queued replay; True when there may be more."""
    ran = await replays.run_next(engine.replayer, workspace.id, engine.clock())
    if ran:
        workspace.queued.set()
    return ran


async def until_due(engine: Engine, workspace: Workspace) -> float:
    """Seconds until the first participant is due, at most ``IDLE_SECONDS``."""
    async with workspace_tx(engine.maker, workspace.id) as session:
        at = await participant_store.next_run_at(session, workspace.id)
    return _seconds(at, engine.clock())


async def until_queued(engine: Engine, workspace: Workspace) -> float:
    async with workspace_tx(engine.maker, workspace.id) as session:
        at = await delivery.next_run_at(session, workspace.id)
    return _seconds(at, engine.clock())


async def until_scheduled(engine: Engine, workspace: Workspace) -> float:
    async with workspace_tx(engine.maker, workspace.id) as session:
        at = await schedule_store.next_at(session, workspace.id)
    return _seconds(at, engine.clock())


def _seconds(at: int | None, now: int) -> float:
    if at is None:
        return IDLE_SECONDS
    # Never at once: what is due yet was not claimed rests (a pause, a feed not read to its end).
    return min(IDLE_SECONDS, max(0.2, (at - now) / 1000))


async def _idle(engine: Engine, workspace: Workspace) -> float:
    return IDLE_SECONDS


async def _loop(
    name: str,
    engine: Engine,
    workspace: Workspace,
    step: Callable[[Engine, Workspace], Awaitable[bool]],
    event: asyncio.Event,
    pause: Callable[[Engine, Workspace], Awaitable[float]],
) -> None:
    """Steps while there is more; then rests until woken or until `pause` is over."""
    backoff = 0.2
    while True:
        event.clear()
        try:
            if await step(engine, workspace):
                backoff = 0.2
                continue
            seconds = await pause(engine, workspace)
            backoff = 0.2
        except TRANSIENT as error:
            log.warning(f"{name}_failed", workspace_id=str(workspace.id), error=repr(error)[:300])
            seconds, backoff = backoff, min(5.0, backoff * 2)
            await asyncio.sleep(seconds)
            continue
        await came(event, seconds)


async def _follow(engine: Engine, workspace: Workspace) -> None:
    backoff = 0.2
    while True:
        try:
            await follow_once(engine, workspace, engine.feed_wait_seconds)
            backoff = 0.2
        except TRANSIENT as error:
            log.warning("follow_failed", workspace_id=str(workspace.id), error=repr(error)[:300])
            await asyncio.sleep(backoff)
            backoff = min(5.0, backoff * 2)


def loops(engine: Engine, workspace: Workspace) -> list[Coroutine[Any, Any, None]]:
    """Everything that goes on for one workspace."""
    return [
        _follow(engine, workspace),
        _loop("execute", engine, workspace, execute_once, workspace.due, until_due),
        _loop("send", engine, workspace, send_gently, workspace.queued, until_queued),
        _loop("tell", engine, workspace, tell_once, workspace.told, _idle),
        _loop("carry_out", engine, workspace, carry_out_once, workspace.effects, _idle),
        _loop("schedule", engine, workspace, schedule_once, workspace.scheduled, until_scheduled),
        _loop("sweep", engine, workspace, sweep_once, workspace.sweeps, _idle),
        _loop("replay", engine, workspace, replay_once, workspace.replays, _idle),
    ]


class Workers:
    """Starts the loops of each workspace as it is discovered."""

    def __init__(self, engine: Engine, discovery_seconds: float) -> None:
        self.engine = engine
        self._discovery_seconds = discovery_seconds
        self.workspaces: dict[UUID, Workspace] = {}

    async def run(self) -> None:
        """Until cancelled. A bug in a loop ends this, and with it the process."""
        async with asyncio.TaskGroup() as group:
            while True:
                for workspace in await self._discover():
                    for loop in loops(self.engine, workspace):
                        group.create_task(loop)
                await asyncio.sleep(self._discovery_seconds)

    def wake_due(self, workspace_id: UUID) -> None:
        """Somebody was moved from outside: by an entry or a task."""
        workspace = self.workspaces.get(workspace_id)
        if workspace is not None:
            workspace.due.set()
            workspace.moved()

    def wake_schedules(self, workspace_id: UUID) -> None:
        workspace = self.workspaces.get(workspace_id)
        if workspace is not None:
            workspace.scheduled.set()

    def wake_sweeps(self, workspace_id: UUID) -> None:
        workspace = self.workspaces.get(workspace_id)
        if workspace is not None:
            workspace.sweeps.set()

    def wake_replays(self, workspace_id: UUID) -> None:
        workspace = self.workspaces.get(workspace_id)
        if workspace is not None:
            workspace.replays.set()

    async def _discover(self) -> list[Workspace]:
        """Workspaces not seen before: from profile's feed, and those that have a journey here."""
        try:
            partitions = await self.engine.feed.partitions()
            ids = [UUID(name) for name in partitions]
        except TRANSIENT as error:
            log.warning("discovery_failed", error=repr(error)[:300])
            ids = []
        try:
            async with self.engine.maker.begin() as session:
                if set(ids) - self.workspaces.keys():
                    await position_store.register_workspaces(session, ids)
                known = await position_store.workspaces(session)
        except TRANSIENT as error:
            log.warning("discovery_failed", error=repr(error)[:300])
            return []
        found = [Workspace(each) for each in known if each not in self.workspaces]
        self.workspaces |= {workspace.id: workspace for workspace in found}
        return found
