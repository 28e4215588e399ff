"""Who is held out at entry, and the goals of both sides, counted alike."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.orchestrator.engine.library import Library
from services.orchestrator.engine.participants import way_of
from services.orchestrator.holdouts import arm_store, store
from services.orchestrator.holdouts.arm_store import Arm, Would
from services.orchestrator.holdouts.store import InForce
from services.orchestrator.journeys import listen
from services.orchestrator.journeys.compiled import Compiled, Happening
from services.orchestrator.journeys.shapes import LONGEST_WINDOW_SECONDS
from services.orchestrator.times import to_ms


class Division:
    """The holdouts in force for the journeys of a block."""

    def __init__(self, workspace_id: UUID, in_force: Mapping[UUID, InForce]) -> None:
        self._global = in_force.get(workspace_id)
        self._own = in_force

    def arm(self, journey_id: UUID, compiled: Compiled, profile_id: UUID) -> Arm | None:
        """None where no holdout concerns the journey. The global one goes first (HO-4), and leaves
        transactional journeys alone (HO-3)."""
        everywhere = self._global if compiled.graph.purpose != "transactional" else None
        own = self._own.get(journey_id)
        if everywhere is None and own is None:
            return None
        if everywhere is not None and everywhere.holds(profile_id):
            return "globally_held_out"
        return "held_out" if own is not None and own.holds(profile_id) else "treated"


async def division(
    session: AsyncSession, workspace_id: UUID, journey_ids: set[UUID]
) -> Division | None:
    """None where nothing is in force."""
    if not journey_ids:
        return None
    found = await store.in_force(session, {workspace_id, *journey_ids})
    return Division(workspace_id, found) if found else None


async def keep(session: AsyncSession, workspace_id: UUID, arms: Sequence[Would]) -> None:
    await arm_store.keep(session, workspace_id, arms)


async def count_goals(
    session: AsyncSession,
    workspace_id: UUID,
    library: Library,
    events: Mapping[UUID, Sequence[Happening]],
) -> None:
    """The goals that people of all arms reach, in the journey or out of it. ``events``: by person,
    of the names that goals with a window look for."""
    times = [event.at for theirs in events.values() for event in theirs]
    since = min(times) - 1000 * LONGEST_WINDOW_SECONDS
    arms = await arm_store.of(session, workspace_id, events.keys(), since)
    graphs = await library.load(session, (arm.version_id for arm in arms))
    reached = []
    for arm in arms:
        at = to_ms(arm.at)
        way = way_of(arm.profile_id, arm.journey_id, 1, at, arm.trigger)
        for event in events[arm.profile_id]:
            goals = listen.convert_later(graphs[arm.version_id], way, at, event)
            reached += [(arm.profile_id, arm.journey_id, each.goal, each.at) for each in goals]
    await arm_store.reach(session, workspace_id, reached)
