"""What came of webhooks whose participants wait for it: they go on, with what was captured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import participant_store
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Participant, Traces
from services.orchestrator.journeys import listen


@dataclass(frozen=True, slots=True)
class Answer:
    participant_id: UUID
    node: str
    visit: int
    outcome: Literal["answered", "failed"]
    captured: Mapping[str, Any]


async def lock(
    session: AsyncSession, workspace_id: UUID, participant_ids: Sequence[UUID]
) -> dict[UUID, Participant]:
    """Whom answers may move, locked. Before their messages are, as whoever merges people does."""
    found = await participant_store.lock(session, workspace_id, sorted(set(participant_ids)))
    return {each.id: each for each in found}


async def resume(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    participants: Mapping[UUID, Participant],
    answers: Sequence[Answer],
    now: int,
) -> None:
    """Those who still wait there go on; the others had their timeout, or left."""
    graphs = await library.load(session, (p.version_id for p in participants.values()))
    traces, moved = Traces(), []
    for each in answers:
        who = participants.get(each.participant_id)
        if who is None:
            continue
        compiled = graphs[who.version_id]
        after = listen.answer(compiled, who.position, each.node, each.visit, each.outcome, now)
        if after is not None:
            who.context |= each.captured
            traces.record(who, after)
            moved.append(who)
    await participant_store.update(session, workspace_id, moved, graphs, now)
    await carry(session, workspace_id, traces, graphs, now)
