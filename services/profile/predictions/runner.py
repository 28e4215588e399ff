"""Computes what was asked for, one run after the other, while the workspace's lease holds.

A run that a dead process left is taken up again by whoever gets the lease: nothing of it was kept
but some people's values, which are written again.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import structlog

from services.kit.postgres import workspace_tx
from services.kit.problems import Unavailable
from services.profile.clock import to_ms
from services.profile.computed.service import Values
from services.profile.predictions import people, service, store, values
from services.profile.predictions.process import Computation, ProcessEnded, computing
from services.profile.predictions.sources import Source, as_text, day_number, sources
from services.profile.predictions.store import Prediction, Run
from services.profile.stream.consumer import Resources

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 5
READ_SECONDS = 600.0
"""As long as tracking gives ClickHouse for a summary."""
READ_PART, COMPUTED_PART = 0.4, 0.6
"""Progress once everything is read, and once it is computed; the rest is writing."""


def predictions_bell(workspace_id: UUID) -> str:
    """What is rung when a run was asked for or something was deleted."""
    return f"predictions:{workspace_id}"


class _Superseded(Exception):
    """The run was deleted, or somebody else took it up."""


class Runner:
    def __init__(self, resources: Resources, workspace_id: UUID, retry_seconds: float) -> None:
        self._resources = resources
        self._workspace_id = workspace_id
        self._retry_seconds = retry_seconds

    async def run(self) -> None:
        resources = self._resources
        while True:
            asked = resources.bell.listen(predictions_bell(self._workspace_id))
            try:
                while await self._next():
                    pass
            except Unavailable as error:
                log.info("prediction_waits", reason=error.detail)
                await asyncio.sleep(self._retry_seconds)
                continue
            await resources.clock.wait(asked, await self._refresh())

    async def _next(self) -> bool:
        """Do one thing, if there is one to do."""
        async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
            gone = await store.removed(session, self._workspace_id)
        for prediction in gone:
            await self._forget(prediction)
        async with self._resources.computing:
            async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
                run = await store.take_up(session, self._workspace_id)
                if run is None:
                    return False
                found = await store.find(session, self._workspace_id, run.prediction_id)
                assert found is not None, "runs go with their prediction"
            if run.attempt > MAX_ATTEMPTS:
                reason = f"The computation ended {MAX_ATTEMPTS} times before it was done."
                await self._finish(run, "failed", reason=reason)
                return True
            try:
                await self._compute(found, run)
            except ProcessEnded:
                log.warning("prediction_process_ended", run_id=str(run.run_id))
            except _Superseded:
                log.info("prediction_superseded", run_id=str(run.run_id))
        return True

    async def _compute(self, prediction: Prediction, run: Run) -> None:
        definition = prediction.definition
        asked = sources(definition, run.as_of)
        zone = definition.get("timezone", "UTC")
        job = {
            "definition": definition,
            "as_of_day": day_number(run.as_of, zone),
            "tables": len(asked),
        }
        async with computing() as computation:
            await computation.start(job)
            for index, source in enumerate(asked):
                async for piece in self._read(source, definition):
                    await computation.write(piece)
                await self._record(run, progress=READ_PART * (index + 1) / len(asked))
            answer = await computation.answer()
            if "reason" in answer:
                await self._finish(run, "failed", reason=answer["reason"])
                return
            await self._write(prediction.name, run, computation, answer["people"])
        await self._clear(prediction.name, as_text(run.as_of))
        await self._finish(run, "done", metrics=answer["metrics"], progress=1.0)

    def _read(self, source: Source, definition: dict[str, list[str]]) -> AsyncIterator[bytes]:
        if source == "traits":
            maker = self._resources.sessionmaker
            return people.traits(maker, self._workspace_id, definition["traits"])
        return self._resources.tracking.pieces(
            "POST",
            "/internal/v1/behaviour/summary",
            workspace_id=self._workspace_id,
            read_seconds=READ_SECONDS,
            content=source.model_dump_json(exclude_none=True),
            headers={"Content-Type": "application/json"},
        )

    async def _write(self, name: str, run: Run, computation: Computation, people: int) -> None:
        done = 0
        async for results in computation.batches():
            done += results.num_rows
            progress = COMPUTED_PART + (1 - COMPUTED_PART) * done / people
            said = await asyncio.to_thread(values.of_results, name, results, as_text(run.as_of))
            await self._put(said, run, people=done, progress=progress)

    async def _put(self, said: Values, run: Run, **recorded: float) -> None:
        resources, workspace_id = self._resources, self._workspace_id
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            if not await store.record(session, workspace_id, run, **recorded):
                raise _Superseded
            now_ms = to_ms(resources.clock.now())
            await values.write(session, workspace_id, said, now_ms, resources.rules)
        resources.bell.ring(str(workspace_id))

    async def _clear(self, name: str, as_of: str) -> None:
        """Take the values of other times from everybody who holds some."""
        resources, workspace_id = self._resources, self._workspace_id
        after = UUID(int=0)
        while True:
            async with workspace_tx(resources.sessionmaker, workspace_id) as session:
                old = await values.stale(session, workspace_id, name, as_of, after)
                if not old:
                    return
                now_ms = to_ms(resources.clock.now())
                await values.write(session, workspace_id, old, now_ms, resources.rules)
            resources.bell.ring(str(workspace_id))
            after = UUID(max(old))

    async def _forget(self, prediction: Prediction) -> None:
        await self._clear(prediction.name, "")
        async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
            await service.forget(session, self._workspace_id, prediction.prediction_id)

    async def _record(self, run: Run, **recorded: object) -> None:
        async with workspace_tx(self._resources.sessionmaker, self._workspace_id) as session:
            if not await store.record(session, self._workspace_id, run, **recorded):
                raise _Superseded

    async def _finish(self, run: Run, state: str, **recorded: object) -> None:
        finished_at = self._resources.clock.now()
        await self._record(run, state=state, finished_at=finished_at, **recorded)

    async def _refresh(self) -> int | None:
        """Ask for the runs that are due; ms of the next one."""
        resources, workspace_id = self._resources, self._workspace_id
        now = resources.clock.now()
        times = []
        async with workspace_tx(resources.sessionmaker, workspace_id) as session:
            found = await store.page(session, workspace_id, service.PREDICTIONS)
            wanted = {p.prediction_id: p.refresh_hours for p in found if p.refresh_hours}
            last = await store.last_runs(session, workspace_id, wanted)
            for prediction_id, run in last.items():
                due = run.requested_at + timedelta(hours=wanted[prediction_id])
                if due <= now:
                    await service.request_run(session, workspace_id, prediction_id, now)
                times.append(max(due, now))
        return min(map(to_ms, times), default=None)
