"""The plans of all sources, in an ingestion process: a look-up in memory per request.

A worker asks PostgreSQL once a second what changed. Versions never change, so a plan is read and
compiled when a source that runs it first sends something, and kept.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.contracts.tracking import PlanMode
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.tracking import metrics
from services.tracking.plans import store
from services.tracking.plans.apply import Plan
from services.tracking.workers import Workers

log = structlog.get_logger(__name__)

NAME = "plans"
POLL_SECONDS = 1.0
_FIRST_SECONDS = 2.0
_MAX_KEPT = 1_000
_OUTAGES = (SQLAlchemyError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Running:
    """Which version of which plan a source runs, and how strictly."""

    plan_id: UUID
    version: int
    mode: PlanMode


class Plans:
    """``of`` from any request; ``run`` is the worker that follows changes."""

    def __init__(self, maker: SessionMaker, workers: Workers) -> None:
        self._maker = maker
        self._workers = workers
        self._running: dict[tuple[UUID, str], Running] = {}
        self._kept: dict[Running, Plan] = {}
        self._revision = 0
        self._known = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                await self._follow()
            except _OUTAGES as error:
                # What is known stays in force; nothing can be appended meanwhile anyway.
                self._workers.failed(NAME, f"cannot be read ({type(error).__name__})")
                log.warning("plans_not_read", error=type(error).__name__)
            else:
                self._workers.recovered(NAME)
            await asyncio.sleep(POLL_SECONDS)

    async def of(self, workspace_id: UUID, source_id: str) -> Plan | None:
        """The plan of a source, None where it runs none. ``Unavailable`` when it cannot be known:
        an event must not pass a plan that would refuse it."""
        if not self._known.is_set():
            await self._first()
        running = self._running.get((workspace_id, source_id))
        if running is None:
            return None
        return self._kept.get(running) or await self._load(workspace_id, running)

    async def _first(self) -> None:
        try:
            await asyncio.wait_for(self._known.wait(), _FIRST_SECONDS)
        except TimeoutError as error:
            raise Unavailable("The tracking plans are not read yet.") from error

    async def _follow(self) -> None:
        async with self._maker.begin() as session:
            changes = await store.changes(session, self._revision)
        for change in changes:
            key = (change.workspace_id, change.source_id)
            if change.plan_id is None or change.version is None or change.mode is None:
                self._running.pop(key, None)
            else:
                self._running[key] = Running(change.plan_id, change.version, change.mode)
            self._revision = change.revision
        metrics.PLANS_REVISION.set(self._revision)
        self._known.set()

    async def _load(self, workspace_id: UUID, running: Running) -> Plan:
        try:
            async with workspace_tx(self._maker, workspace_id) as session:
                document = await store.document(session, running.plan_id, running.version)
        except _OUTAGES as error:
            raise Unavailable("The tracking plan cannot be read.") from error
        if document is None:
            raise Unavailable("The tracking plan is gone.")
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        plan = Plan(running.plan_id, running.version, running.mode, document)
        return self._kept.setdefault(running, plan)
