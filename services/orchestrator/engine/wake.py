"""Awaited events of one block of the feed: whom they wake, and for whom they are kept."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import missed_store, participant_store, trace_store
from services.orchestrator.engine.entries import NEVER
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Participant, Traces, by_profile
from services.orchestrator.journeys import step
from services.orchestrator.journeys.compiled import Happening


async def wake(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    events: Sequence[Happening],
    awaited: set[str],
    now: int,
) -> bool:
    """Pass awaited events to the participants of their people.

    The rows are locked: a timer that fires at the same moment finds its fence gone (WU-3). Events
    for waits that are not reached yet are kept for those on their way (WU-2).
    """
    relevant = by_profile(event for event in events if event.event in awaited)
    if not relevant:
        return False
    live = await participant_store.lock_live(session, workspace_id, relevant)
    if not live:
        return False
    graphs = await library.load(session, (p.version_id for p in live))
    earlier = await missed_store.read(session, workspace_id, live)
    traces = Traces()
    woken: list[Participant] = []
    missed: list[tuple[UUID, Happening]] = []
    consumed: list[tuple[UUID, str]] = []
    for participant in live:
        compiled = graphs[participant.version_id]
        trigger = participant.happening
        pending = list(earlier.get(participant.id, ()))
        moved = False
        for event in relevant[participant.profile_id]:
            after = step.deliver(compiled, participant.position, trigger, event)
            if after is None:
                if step.may_await(compiled, participant.position, trigger, event):
                    missed.append((participant.id, event))
                    pending.append(event)
                continue
            moved = True
            traces.record(participant, after)
            further = step.take(
                compiled, participant.position, None, NEVER, trigger=trigger, missed=pending
            )
            traces.record(participant, further)
            consumed += [(participant.id, message_id) for message_id in further.consumed]
            pending = [e for e in pending if e.message_id not in further.consumed]
        if moved:
            woken.append(participant)
    await participant_store.update(session, workspace_id, woken, graphs, now)
    await missed_store.keep(session, workspace_id, missed)
    if woken:
        await missed_store.drop(session, workspace_id, woken, consumed)
    await trace_store.keep(session, workspace_id, traces)
    return bool(woken)
