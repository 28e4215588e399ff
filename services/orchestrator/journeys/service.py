"""What may happen to a journey: drafts, publishing, pausing, ending."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import FieldError
from services.orchestrator.channels import store as channels
from services.orchestrator.engine import position_store
from services.orchestrator.errors import (
    JourneyInvalid,
    JourneyKeyTaken,
    JourneyNotFound,
    JourneyStateConflict,
)
from services.orchestrator.experiments import store as experiments
from services.orchestrator.journeys import store
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.model import Journey
from services.orchestrator.journeys.nodes import Experiment, Message, Webhook
from services.orchestrator.journeys.validate import Finding, findings, missing
from services.orchestrator.message_templates import store as templates
from services.orchestrator.schedules import store as schedules
from services.orchestrator.schedules.service import plan
from services.orchestrator.sweeps import store as sweeps


async def view(session: AsyncSession, row: Row[Any]) -> Journey:
    """The journey with what stands against publishing its draft."""
    return (await views(session, [row]))[0]


async def views(session: AsyncSession, rows: Sequence[Row[Any]]) -> list[Journey]:
    found = []
    for row in rows:
        problems = await problems_of(session, Graph.model_validate(row.draft))
        found.append(
            Journey(
                id=row.id,
                key=row.key,
                name=row.name,
                state=row.state,
                draft_revision=row.draft_revision,
                live_version=row.live_version,
                published_at=row.published_at,
                graph=row.draft,
                problems=[FieldError(pointer=p.pointer, detail=p.detail) for p in problems],
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
        )
    return found


async def get(session: AsyncSession, journey_id: UUID) -> Row[Any]:
    row = await store.find(session, journey_id)
    if row is None:
        raise JourneyNotFound(f"Journey {journey_id} does not exist.")
    return row


async def create(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, graph: Graph, key: str | None
) -> Journey:
    """Without a key it gets one of its own."""
    await position_store.register_workspaces(session, [workspace_id])
    key = key or f"journey-{journey_id.hex[-12:]}"
    row = await store.add(session, workspace_id, journey_id, key, graph.name, dumped(graph))
    if row is None:
        raise JourneyKeyTaken(f"Another journey has the key {key!r}.")
    return await view(session, row)


async def save_draft(session: AsyncSession, journey_id: UUID, graph: Graph) -> Journey:
    row = await get(session, journey_id)
    if row.state == "archived":
        raise JourneyStateConflict("An archived journey cannot be changed.", state=row.state)
    await store.save_draft(session, journey_id, graph.name, dumped(graph))
    return await view(session, await get(session, journey_id))


async def pause(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, discard: bool
) -> Journey:
    """Said again it may change what becomes of those inside."""
    await _lock_in(session, journey_id, ("live", "paused"))
    await sweeps.drop(session, workspace_id, journey_id, "resume")
    await store.set_state(session, journey_id, "paused", discarding=discard)
    return await view(session, await get(session, journey_id))


async def resume(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, per_minute: int, now: int
) -> Journey:
    """Those whose time came meanwhile go on at the rate, in the order of their times."""
    locked = await _lock_in(session, journey_id, ("live", "paused"))
    if locked.state == "paused":
        await store.set_state(session, journey_id, "live", releasing=True)
        await sweeps.start(session, workspace_id, journey_id, "resume", now, per_minute=per_minute)
        await _resume_schedule(session, workspace_id, journey_id, now)
    return await view(session, await get(session, journey_id))


async def archive(session: AsyncSession, workspace_id: UUID, journey_id: UUID) -> Journey:
    locked = await _lock_in(session, journey_id, ("draft", "live", "paused", "archived"))
    if locked.state != "archived":
        for kind in ("resume", "move"):
            await sweeps.drop(session, workspace_id, journey_id, kind)
        await store.set_state(session, journey_id, "archived")
        await store.end_participants(session, journey_id)
        await schedules.drop(session, workspace_id, journey_id)
    return await view(session, await get(session, journey_id))


async def _lock_in(
    session: AsyncSession, journey_id: UUID, allowed: tuple[str, ...]
) -> Row[str, int]:
    locked = await store.lock(session, journey_id)
    if locked is None:
        raise JourneyNotFound(f"Journey {journey_id} does not exist.")
    if locked.state not in allowed:
        raise JourneyStateConflict(
            f"The journey is {locked.state}; this needs {' or '.join(allowed)}.",
            state=locked.state,
        )
    return locked


async def _resume_schedule(
    session: AsyncSession, workspace_id: UUID, journey_id: UUID, now: int
) -> None:
    """Times that passed while it was paused are not made up for."""
    row = await get(session, journey_id)
    for version_id, graph in await store.version_graphs(session, [row.live_version_id]):
        await plan(session, workspace_id, journey_id, version_id, Graph.model_validate(graph), now)


async def publishable(session: AsyncSession, row: Row[Any]) -> Graph:
    """The draft's graph; raises ``JourneyInvalid`` with all findings."""
    graph = Graph.model_validate(row.draft)
    problems = await problems_of(session, graph)
    if problems:
        raise JourneyInvalid(
            "; ".join(f"{p.pointer}: {p.detail}" for p in problems[:3]),
            errors=[{"pointer": p.pointer, "detail": p.detail} for p in problems],
        )
    return graph


async def problems_of(session: AsyncSession, graph: Graph) -> list[Finding]:
    senders = [node for node in graph.nodes if isinstance(node, Message | Webhook)]
    channel_types = await channels.types(session, {node.channel_id for node in senders})
    wanted = {node.template_id for node in senders if isinstance(node, Message)}
    known = await templates.existing(session, wanted)
    trials = {node.experiment_id for node in graph.nodes if isinstance(node, Experiment)}
    variants = await experiments.variants(session, trials)
    return [*findings(graph), *missing(graph, channel_types, known, variants)]


def dumped(graph: Graph) -> dict[str, Any]:
    """The graph as it was written: defaults that were left out stay out."""
    return graph.model_dump(mode="json", by_alias=True, exclude_unset=True)
