"""What a replay needs before it may run."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.orchestrator.channels import store as channels
from services.orchestrator.engine import position_store
from services.orchestrator.errors import JourneyInvalid
from services.orchestrator.journeys import service as journeys
from services.orchestrator.journeys.entries import EventEntry
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.nodes import Message, Webhook, fits
from services.orchestrator.replay import store
from services.orchestrator.replay.model import Deliver, ReplayCreate


async def create(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    replay_id: UUID,
    body: ReplayCreate,
    deliver: Deliver,
) -> Row[Any]:
    """Queue a replay of the journey's draft."""
    row = await journeys.get(session, journey_id)
    graph = await journeys.publishable(session, row)
    if not isinstance(graph.entry, EventEntry):
        pointer = "#/graph/entry/kind"
        detail = "Only journeys entered by an event can be replayed: segments keep no history."
        raise JourneyInvalid(detail, errors=[{"pointer": pointer, "detail": detail}])
    if body.since and body.until and body.since >= body.until:
        raise InvalidRequest.at("#/until", "`until` lies after `since`.")
    if deliver == "sink":
        await _sinks_only(session, graph, body.channel_id)
    await position_store.register_workspaces(session, [workspace_id])
    await store.add(
        session,
        {
            "id": replay_id,
            "workspace_id": workspace_id,
            "journey_id": journey_id,
            "graph": row.draft,
            "request": {"body": body.model_dump(mode="json"), "deliver": deliver},
            "state": "queued",
            "run_at": func.now(),
        },
    )
    found = await store.find(session, journey_id, replay_id)
    assert found is not None
    return found


async def _sinks_only(session: AsyncSession, graph: Graph, channel_id: UUID | None) -> None:
    """A replay must never reach a real person."""
    senders = [
        (index, node)
        for index, node in enumerate(graph.nodes)
        if isinstance(node, Message | Webhook)
    ]
    wanted = {channel_id} if channel_id else {node.channel_id for _, node in senders}
    targets = await channels.targets(session, wanted)
    if channel_id is not None:
        target = targets.get(channel_id)
        if target is None:
            raise InvalidRequest.at("#/channel_id", "There is no such channel.")
        if not target.sink:
            raise InvalidRequest.at("#/channel_id", "This channel is not marked as a sink.")
        if not all(fits(node, target.type) for _, node in senders):
            raise InvalidRequest.at(
                "#/channel_id", f"The journey has nodes that cannot send by {target.type}."
            )
        return
    errors = [
        {
            "pointer": f"#/graph/nodes/{index}/channel_id",
            "detail": "Replays deliver only through channels marked as sinks.",
        }
        for index, node in senders
        if not targets[node.channel_id].sink
    ]
    if errors:
        raise JourneyInvalid("A channel of the journey is not a sink.", errors=errors)
