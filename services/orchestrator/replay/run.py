"""Runs a replay: pages of past events through the simulation, its messages into the ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import httpx2
import msgspec
import pyarrow as pa
import structlog
from pydantic import ValidationError

from services.contracts.profile import ProfileFacts
from services.contracts.tracking import EventScan
from services.kit.http import ServiceClient
from services.kit.postgres import SessionMaker, workspace_tx
from services.kit.problems import Unavailable
from services.orchestrator.engine.execute import links_of, load_kit, with_devices
from services.orchestrator.engine.facts import facts_of
from services.orchestrator.engine.participants import Participant
from services.orchestrator.experiments import store as experiments
from services.orchestrator.journeys.compiled import Compiled, Happening, compile_graph
from services.orchestrator.journeys.effects import Send
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import Flow
from services.orchestrator.journeys.stats import summarise
from services.orchestrator.messages import store as messages
from services.orchestrator.messages.compose import Kit, compose
from services.orchestrator.messages.model import NewMessage
from services.orchestrator.policies import store as policies
from services.orchestrator.replay import store
from services.orchestrator.replay.model import ReplayCreate, ReplayResult
from services.orchestrator.replay.policed import Policed
from services.orchestrator.replay.simulate import Simulation, happenings
from services.orchestrator.replay.truths import History
from services.orchestrator.times import from_ms, to_ms

log = structlog.get_logger(__name__)

LEASE_MS = 600_000
RETRY_MS = 2_000
_COLUMNS = ("profile_id", "event", "message_id", "occurred_at_ms", "properties", "context")


@dataclass(frozen=True)
class Replayer:
    maker: SessionMaker
    profile: ServiceClient
    tracking: ServiceClient
    public_url: str
    batch: int = 5_000


async def run_next(replayer: Replayer, workspace_id: UUID, now: int) -> bool:
    """Run one replay of the workspace to its end; False when none is queued.

    It may die at any point and run again from the start: virtual participants have ids made of the
    replay's, so the ledger takes each message once.
    """
    async with workspace_tx(replayer.maker, workspace_id) as session:
        row = await store.claim(session, now, LEASE_MS)
    if row is None:
        return False
    try:
        result = await _run(replayer, workspace_id, row, now)
    except Unavailable:
        async with workspace_tx(replayer.maker, workspace_id) as session:
            await store.release(session, row.id, now + RETRY_MS)
        raise
    except (httpx2.HTTPStatusError, ValidationError, pa.ArrowInvalid) as error:
        # Trying again would fail again.
        log.error("replay_failed", replay_id=str(row.id), exc_info=error)
        problem = f"The past events could not be read ({type(error).__name__})."
        async with workspace_tx(replayer.maker, workspace_id) as session:
            await store.finish(session, row.id, "failed", problem=problem)
        return True
    async with workspace_tx(replayer.maker, workspace_id) as session:
        await store.finish(session, row.id, "completed", result=result.model_dump(mode="json"))
    return True


async def _run(replayer: Replayer, workspace_id: UUID, row: Any, now: int) -> ReplayResult:
    request = ReplayCreate.model_validate(row.request["body"])
    deliver = row.request["deliver"] == "sink"
    compiled = compile_graph(row.id, Graph.model_validate(row.graph))
    async with workspace_tx(replayer.maker, workspace_id) as session:
        trials = await experiments.trials(session, compiled.experiment_ids)
        document = await policies.current(session, workspace_id)
    history = History(compiled, trials)
    simulation = Simulation(compiled, row.journey_id, row.id, history.known, history.observe)
    graph = compiled.graph
    policed = None if document is None else Policed(document, graph, request.channel_id)
    delivery = await _delivery(replayer, workspace_id, row.id, compiled, request)
    delivery = replace(delivery, deliver=deliver, policed=policed)
    scan = EventScan(
        events=sorted(compiled.event_names | history.event_names),
        since=request.since,
        until=request.until,
    )
    while True:
        table, cursor = await _page(replayer.tracking, workspace_id, scan)
        events = await asyncio.to_thread(_decode, table)
        await _learn(replayer.profile, workspace_id, history, events)
        await asyncio.to_thread(simulation.feed, events)
        await delivery.take(simulation, now)
        if cursor is None:
            break
        scan = scan.model_copy(update={"cursor": cursor})
    end = request.clock_until or request.until or from_ms(now)
    await asyncio.to_thread(simulation.finish, to_ms(end))
    await delivery.take(simulation, now)
    result = result_of(simulation)
    return result.model_copy(update={"policies": None if policed is None else policed.result()})


def result_of(simulation: Simulation) -> ReplayResult:
    flows = [
        Flow(version=0, source=source, outcome=outcome, target=target, count=count)
        for (source, outcome, target), count in sorted(simulation.flows.items())
    ]
    stats = summarise(flows, simulation.waiting, [])
    return ReplayResult(
        entered=simulation.entered,
        people=simulation.people,
        completed=stats.exits.get("completed", 0),
        reminded=simulation.reminded,
        sends=simulation.sent,
        goals=dict(simulation.goals),
        stats=stats,
    )


@dataclass(frozen=True)
class _Delivery:
    """Takes virtual participants' messages: into the ledger, and before the policies."""

    replayer: Replayer
    workspace_id: UUID
    replay_id: UUID
    graph: Graph
    kit: Kit
    channel_id: UUID | None
    deliver: bool = False
    policed: Policed | None = None

    async def take(self, simulation: Simulation, now: int) -> None:
        """What was sent since the last call."""
        sends, ended = simulation.drain_sends(), simulation.drain_withdrawn()
        if not self.deliver and self.policed is None:
            return
        for start in range(0, len(sends), self.replayer.batch):
            await self._block(sends[start : start + self.replayer.batch], now)
        if self.policed is not None:
            self.policed.withdraw(ended)
            await asyncio.to_thread(self.policed.run, simulation.now)

    async def _block(self, block: Sequence[tuple[Participant, Send]], now: int) -> None:
        people = {participant.profile_id for participant, _ in block}
        links = links_of([self.graph]) if self.deliver else None
        known = await facts_of(self.replayer.profile, self.workspace_id, people, links=links)
        async with workspace_tx(self.replayer.maker, self.workspace_id) as session:
            kit = await with_devices(session, self.kit, people)
        if self.policed is not None:
            self.policed.add(block, known, kit)
        if self.deliver:
            rows = await asyncio.to_thread(self._compose, block, known, kit)
            async with workspace_tx(self.replayer.maker, self.workspace_id) as session:
                await messages.add(session, self.workspace_id, rows, now)

    def _compose(
        self, block: Sequence[tuple[Participant, Send]], facts: dict[UUID, ProfileFacts], kit: Kit
    ) -> list[NewMessage]:
        return [
            compose(
                participant,
                send,
                self.graph,
                facts.get(participant.profile_id),
                kit,
                replay_id=self.replay_id,
                channel_id=self.channel_id,
            )
            for participant, send in block
        ]


async def _delivery(
    replayer: Replayer,
    workspace_id: UUID,
    replay_id: UUID,
    compiled: Compiled,
    request: ReplayCreate,
) -> _Delivery:
    async with workspace_tx(replayer.maker, workspace_id) as session:
        graphs = {compiled.version_id: compiled}
        kit = await load_kit(session, graphs, replayer.public_url, request.channel_id)
    return _Delivery(replayer, workspace_id, replay_id, compiled.graph, kit, request.channel_id)


async def _page(
    tracking: ServiceClient, workspace_id: UUID, scan: EventScan
) -> tuple[pa.Table, str | None]:
    response = await tracking.request(
        "POST",
        "/internal/v1/events/scan",
        workspace_id=workspace_id,
        json=scan.model_dump(mode="json"),
        timeout=120.0,
    )
    response.raise_for_status()
    with pa.ipc.open_stream(response.content) as reader:
        return reader.read_all(), response.headers.get("X-Next-Cursor")


def _decode(table: pa.Table) -> list[Happening]:
    columns = [table.column(name).to_pylist() for name in _COLUMNS]
    decoder = msgspec.json.Decoder(dict[str, Any])
    return happenings(columns, lambda text: decoder.decode(text) if text else {})  # type: ignore[arg-type]


async def _learn(
    profile: ServiceClient, workspace_id: UUID, history: History, events: Sequence[Happening]
) -> None:
    unknown = history.unknown(event.profile_id for event in events)
    if unknown:
        history.learn((await facts_of(profile, workspace_id, unknown)).values())
