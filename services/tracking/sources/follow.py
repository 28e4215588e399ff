"""What every source and workspace runs, in an ingestion process: a look-up in memory per request.

A worker asks PostgreSQL once a second what changed: ids and versions only. The documents behind
them are read and compiled when a source that runs them first sends something, and kept.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.contracts.tracking import PlanMode
from services.kit.postgres import SessionMaker
from services.kit.problems import Unavailable
from services.kit.waiting import came
from services.kit.workers import Workers
from services.tracking import metrics
from services.tracking.identity_policy import store as policies
from services.tracking.sources import store
from services.tracking.sources.store import Change

log = structlog.get_logger(__name__)

NAME = "sources"
POLL_SECONDS = 1.0
_FIRST_SECONDS = 2.0
_OUTAGES = (SQLAlchemyError, OSError, TimeoutError)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RunningPlan:
    """Which version of which plan a source runs, and how strictly."""

    plan_id: UUID
    version: int
    mode: PlanMode


@dataclass(frozen=True, slots=True)
class Running:
    """What a source runs; None for what it does not."""

    plan: RunningPlan | None = None
    webhook_version: int | None = None


_NOTHING = Running()


class SourceSettings:
    """``of`` from any request; ``run`` is the worker that follows changes."""

    def __init__(self, maker: SessionMaker, workers: Workers) -> None:
        self._maker = maker
        self._workers = workers
        self._running: dict[tuple[UUID, str], Running] = {}
        self._revision = 0
        self._policies: dict[UUID, int] = {}
        self._policies_revision = 0
        self._known = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except _OUTAGES as error:
                # What is known stays in force; nothing can be appended meanwhile anyway.
                self._workers.failed(NAME, f"cannot be read ({type(error).__name__})")
                log.warning("sources_not_read", error=type(error).__name__)
            else:
                self._workers.recovered(NAME)
            await asyncio.sleep(POLL_SECONDS)

    async def of(self, workspace_id: UUID, source_id: str) -> Running:
        """``Unavailable`` while nothing is known: an event must not pass a plan that would refuse
        it, nor a webhook go by unsigned."""
        if not self._known.is_set():
            await self._first()
        return self._running.get((workspace_id, source_id), _NOTHING)

    async def policy_of(self, workspace_id: UUID) -> int | None:
        """The version of its identity policy, None for the built-in one; ``Unavailable`` as above:
        an event never changes, so it must not be read by the wrong one."""
        if not self._known.is_set():
            await self._first()
        return self._policies.get(workspace_id)

    async def _first(self) -> None:
        if not await came(self._known, _FIRST_SECONDS):
            raise Unavailable("The settings of sources are not read yet.")

    async def _follow(self) -> None:
        async with self._maker.begin() as session:
            changes = await store.changes(session, self._revision)
            told = await policies.changes(session, self._policies_revision)
        for change in changes:
            key = (change.workspace_id, change.source_id)
            running = _running(change)
            if running == _NOTHING:
                self._running.pop(key, None)
            else:
                self._running[key] = running
            self._revision = change.revision
        for workspace_id, version, revision in told:
            # One that was told late is older than what is known.
            self._policies[workspace_id] = max(version, self._policies.get(workspace_id, 0))
            self._policies_revision = revision
        metrics.PLANS_REVISION.set(self._revision)
        self._known.set()


class Kept(Generic[K, V]):
    """Documents that never change under their key, compiled: read once, then from memory."""

    def __init__(self, most: int, load: Callable[[UUID, K], Awaitable[V | None]]) -> None:
        """``load(workspace_id, key)``: None where there is no such document."""
        self._most = most
        self._load = load
        self._kept: dict[K, V] = {}

    async def get(self, workspace_id: UUID, key: K) -> V:
        """``Unavailable`` where it cannot be read."""
        found = self._kept.get(key)
        if found is not None:
            return found
        try:
            loaded = await self._load(workspace_id, key)
        except _OUTAGES as error:
            raise Unavailable("What the source runs cannot be read.") from error
        if loaded is None:
            raise Unavailable("What the source runs is gone.")
        if len(self._kept) >= self._most:
            self._kept.clear()
        return self._kept.setdefault(key, loaded)


def _running(change: Change) -> Running:
    plan = None
    if change.plan_id is not None and change.version is not None and change.mode is not None:
        plan = RunningPlan(change.plan_id, change.version, change.mode)
    return Running(plan, change.webhook_version)
