"""Doing a task moves its participant on, in one transaction."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.problems import InvalidRequest
from services.orchestrator.engine import participant_store
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Traces
from services.orchestrator.errors import TaskNotFound, TaskStateConflict
from services.orchestrator.journeys import listen, nodes
from services.orchestrator.tasks import store
from services.orchestrator.tasks.model import TaskDone


async def get(session: AsyncSession, task_id: UUID) -> Row[Any]:
    row = await store.find(session, task_id)
    if row is None:
        raise TaskNotFound(f"Task {task_id} does not exist.")
    return row


async def do(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    task_id: UUID,
    body: TaskDone,
    by: str,
    now: int,
) -> Row[Any]:
    """Said again with the same outcome it is answered as the first time."""
    task = await get(session, task_id)
    participants = await participant_store.lock(session, workspace_id, [task.participant_id])
    task = await get(session, task_id)
    if task.state == "done" and task.outcome == body.outcome:
        return task
    if task.state != "open":
        raise TaskStateConflict(f"This task is {task.state}.", state=task.state)
    (participant,) = participants
    graphs = await library.load(session, [participant.version_id])
    compiled = graphs[participant.version_id]
    node = compiled.nodes[task.node]
    assert isinstance(node, nodes.Task)
    known = [each.id for each in node.outcomes]
    if body.outcome not in known:
        raise InvalidRequest.at("#/outcome", f"This task ends in one of: {', '.join(known)}.")
    after = listen.answer(compiled, participant.position, task.node, task.visit, body.outcome, now)
    assert after is not None
    traces = Traces()
    traces.record(participant, after)
    await participant_store.update(session, workspace_id, participants, graphs, now)
    await carry(session, workspace_id, traces, graphs, now)
    await store.done(session, task_id, body.outcome, body.note, by, now)
    return await get(session, task_id)
