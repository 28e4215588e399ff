"""Does what was asked for in one transaction, through the same records as any other step."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine import missed_store, participant_store
from services.orchestrator.engine.carry import carry
from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import Participant, Traces
from services.orchestrator.interventions import store
from services.orchestrator.interventions.model import LARGEST, Intervention, InterventionCreate
from services.orchestrator.journeys.effects import Withdrawn
from services.orchestrator.journeys.position import Step, join, leave, then
from services.orchestrator.times import from_ms

REMOVED = "removed"


async def intervene(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    journey_id: UUID,
    new_id: UUID,
    wanted: InterventionCreate,
    by: str,
    now: int,
) -> Intervention:
    """Those who left, or were moved on, while it was asked for are not touched."""
    known = await store.find(session, new_id)
    if known is not None:
        return Intervention.model_validate(known)
    ids = await store.chosen(session, workspace_id, journey_id, wanted.who, LARGEST + 1, now)
    more, ids = len(ids) > LARGEST, ids[:LARGEST]
    who = wanted.who
    if who.profile_ids is not None:
        # What is kept names nobody beyond their participation, which an erasure makes nobody's.
        who = who.model_copy(update={"profile_ids": None, "participant_ids": ids})
    people, passed_over = len(ids), 0
    if not wanted.dry_run:
        people, passed_over = await _do(session, workspace_id, library, wanted, ids, now)
    done = Intervention(
        id=new_id,
        dry_run=wanted.dry_run,
        journey_id=journey_id,
        action=wanted.action,
        who=who,
        to=wanted.to,
        reason=wanted.reason,
        people=people,
        passed_over=passed_over,
        more=more,
        by=by,
        at=from_ms(now),
    )
    if not wanted.dry_run:
        values = done.model_dump(exclude={"dry_run"}) | {
            "workspace_id": workspace_id,
            "who": who.model_dump(mode="json", exclude_none=True),
        }
        await store.add(session, values)
    return done


async def _do(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    wanted: InterventionCreate,
    ids: Sequence[UUID],
    now: int,
) -> tuple[int, int]:
    """To how many it was done, and how many were passed over."""
    locked = await participant_store.lock(session, workspace_id, ids)
    inside = [each for each in locked if each.position.state != "exited"]
    if wanted.action == "retry":
        await store.look_again(session, workspace_id, [each.id for each in inside], now)
        return len(inside), 0
    graphs = await library.load(session, (each.version_id for each in inside))
    traces, moved = Traces(), list[Participant]()
    for each in inside:
        step = Step(each.position)
        if wanted.to is None:
            step.effects.append(Withdrawn(now, REMOVED))
            join(step, leave(each.position, REMOVED, now))
        elif wanted.to in graphs[each.version_id].nodes:
            then(step, "moved", wanted.to, at=now)
        else:
            continue
        traces.record(each, step)
        moved.append(each)
    await participant_store.update(session, workspace_id, moved, graphs, now)
    await missed_store.drop(session, workspace_id, moved, [])
    await carry(session, workspace_id, traces, graphs, now)
    return len(moved), len(inside) - len(moved)
