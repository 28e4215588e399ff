"""Lets the audience of a schedule in, page by page, and sets its next time."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.profile import SegmentMembers
from services.kit.http import ServiceClient
from services.kit.postgres import workspace_tx
from services.orchestrator.engine import audience
from services.orchestrator.engine.entries import Entrant, admit
from services.orchestrator.engine.execute import Executor
from services.orchestrator.engine.library import Running
from services.orchestrator.journeys.compiled import AUDIENCE
from services.orchestrator.journeys.entries import ScheduleEntry
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.schedules import store
from services.orchestrator.schedules.recurrence import next_occurrence
from services.orchestrator.schedules.store import Due

PAGE = 2_000


async def plan(
    session: AsyncSession,
    workspace_id: UUID,
    journey_id: UUID,
    version_id: UUID,
    graph: Graph,
    after: int,
) -> None:
    """Set the journey's first time after ``after``; none where its entry is no schedule."""
    entry = graph.entry
    at = next_occurrence(entry, after) if isinstance(entry, ScheduleEntry) else None
    if at is None:
        await store.drop(session, workspace_id, journey_id)
    else:
        await store.put(session, workspace_id, journey_id, version_id, at)


async def run_next(executor: Executor, workspace_id: UUID, now: int) -> bool:
    """One page of one time that has come; False when there is none.

    Killed at any point it goes on with the page that was not committed: who is in by then is known
    by the entry ledger.
    """
    async with workspace_tx(executor.maker, workspace_id) as session:
        due = await store.first_due(session, workspace_id, now)
        if due is None:
            return False
        running = {each.journey_id: each for each in (await executor.library.running(session))[0]}
    target = running.get(due.journey_id)
    if target is None or target.compiled.version_id != due.version_id:
        return False
    entry = target.compiled.graph.entry
    assert isinstance(entry, ScheduleEntry)
    if now - due.at > 1000 * target.compiled.graph.max_event_age_seconds:
        page = SegmentMembers(profile_ids=[])
    else:
        page = await _members(executor.profile, workspace_id, entry.segment_id, due.cursor)
    await _admit(executor, workspace_id, due, target, page, now)
    return True


async def _admit(
    executor: Executor,
    workspace_id: UUID,
    due: Due,
    target: Running,
    page: SegmentMembers,
    now: int,
) -> None:
    rules = [id for place, id in target.compiled.rule_ids.items() if place == AUDIENCE]
    inside: audience.Audience = {}
    if rules and page.profile_ids:
        inside = await audience.of_people(executor.profile, workspace_id, rules, page.profile_ids)
    trigger = {"schedule": due.at, "at": due.at}
    entrants = [Entrant(target, each, "", due.at, trigger) for each in page.profile_ids]
    async with workspace_tx(executor.maker, workspace_id) as session:
        if not await store.holds(session, workspace_id, due):
            return
        await admit(session, workspace_id, entrants, inside, now)
        if page.next_cursor is not None:
            await store.move_cursor(session, workspace_id, due.journey_id, page.next_cursor)
            return
        # Times that passed meanwhile are not made up for: one audience at once is enough.
        after = max(due.at, now)
        graph = target.compiled.graph
        await plan(session, workspace_id, due.journey_id, due.version_id, graph, after)


async def _members(
    profile: ServiceClient, workspace_id: UUID, segment_id: UUID, cursor: str | None
) -> SegmentMembers:
    params: dict[str, str | int] = {"limit": PAGE}
    if cursor is not None:
        params["cursor"] = cursor
    response = await profile.request(
        "GET",
        f"/internal/v1/segments/{segment_id}/members",
        workspace_id=workspace_id,
        params=params,
    )
    response.raise_for_status()
    return SegmentMembers.model_validate_json(response.content)
