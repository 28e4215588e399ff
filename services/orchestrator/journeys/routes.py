"""Journeys over HTTP."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Query, Request

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.engine import conversion_store
from services.orchestrator.errors import (
    JourneyInvalid,
    JourneyKeyTaken,
    JourneyNotFound,
    JourneyStateConflict,
    NotReady,
)
from services.orchestrator.journeys import publishing, service, stats, store
from services.orchestrator.journeys.model import (
    Flow,
    GoalStats,
    Journey,
    JourneyCreate,
    JourneyDraft,
    JourneyState,
    JourneyStats,
    JourneyVersionDetail,
    ParticipantView,
    PauseRequest,
    Published,
    PublishPreview,
    PublishRequest,
    ResumeRequest,
)
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/journeys",
    tags=["journeys"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)
_PUBLISH, _PAUSE, _RESUME = PublishRequest(), PauseRequest(), ResumeRequest()
_ONE = problem_responses(JourneyNotFound)
_CHANGE = problem_responses(JourneyNotFound, JourneyStateConflict)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    summary="Create a journey as a draft",
    responses=problem_responses(JourneyKeyTaken),
)
async def create_journey(
    body: JourneyCreate, new_id: NewId, caller: UserCaller, session: Session
) -> Journey:
    """Save the graph, see `problems`, mend it with `PUT`, try it with `replay`, then publish."""
    return await service.create(session, caller.workspace_id, new_id, body.graph, body.key)


@router.get("", summary="List journeys, newest first")
async def list_journeys(
    session: Session, paging: PagingParams, state: JourneyState | None = None
) -> Page[Journey]:
    """Drafts and ended ones too, unless `state` says otherwise."""
    rows = await store.page(session, after_id(paging), paging.limit + 1, state)
    return page_of(await service.views(session, rows), paging.limit)


@router.get("/{journey_id}", summary="Read a journey and its draft", responses=_ONE)
async def read_journey(journey_id: UUID, session: Session) -> Journey:
    """With what still stands against publishing the draft."""
    return await service.view(session, await service.get(session, journey_id))


@router.put("/{journey_id}", summary="Replace the draft", responses=_CHANGE)
async def replace_draft(journey_id: UUID, body: JourneyDraft, session: Session) -> Journey:
    """The live version does not change: publish the draft to make it the one people enter."""
    return await service.save_draft(session, journey_id, body.graph)


@router.post(
    "/{journey_id}/publish",
    summary="Publish the draft as a new version",
    responses=problem_responses(
        JourneyNotFound, JourneyInvalid, JourneyStateConflict, NotReady, Unavailable
    ),
)
async def publish_journey(
    journey_id: UUID, request: Request, caller: UserCaller, body: PublishRequest = _PUBLISH
) -> Published:
    """From now on people enter this version. Those inside older ones finish the version they
    entered, unless `in_flight` says otherwise; `publish/preview` tells what that does to whom.

    Channels above what the organization's maturity recommends are answered with a warning, or,
    where the workspace enforces readiness, refused.
    """
    workers = request.state.workers
    published = await publishing.publish(
        request.state.sessionmaker,
        caller.workspace_id,
        journey_id,
        body,
        request.state.neighbours,
        workers.engine.clock(),
    )
    workers.wake_schedules(caller.workspace_id)
    workers.wake_sweeps(caller.workspace_id)
    return published


@router.post(
    "/{journey_id}/publish/preview",
    summary="See what publishing the draft would do",
    responses=problem_responses(JourneyNotFound),
)
async def preview_publishing(
    journey_id: UUID, session: Session, body: PublishRequest = _PUBLISH
) -> PublishPreview:
    """Where everybody inside is, what each edit is, and what becomes of the people; nothing is
    changed. With `finish` nothing becomes of them: ask with `in_flight: migrate`."""
    return await publishing.preview(session, journey_id, body)


@router.get("/{journey_id}/versions", summary="List versions, newest first", responses=_ONE)
async def list_versions(
    journey_id: UUID, session: Session, paging: PagingParams
) -> Page[JourneyVersionDetail]:
    """What was published when, with its graph and the warnings it was answered with."""
    await service.get(session, journey_id)
    key = paging.after(int)
    # Bound to what the column can hold: a made-up cursor is an empty page, not an error.
    before = None if key is None else min(int(key[0]), 2**31 - 1)
    rows = await store.versions(session, journey_id, before, paging.limit + 1)
    found = [JourneyVersionDetail.model_validate(row) for row in rows[: paging.limit]]
    cursor = encode_cursor(found[-1].number) if len(rows) > paging.limit else None
    return Page(items=found, next_cursor=cursor)


@router.post("/{journey_id}/pause", summary="Pause a journey", responses=_CHANGE)
async def pause_journey(
    journey_id: UUID, caller: UserCaller, session: Session, body: PauseRequest = _PAUSE
) -> Journey:
    """Nobody enters, and entry events of that time are not made up for. Of those inside, delays
    and timeouts run on and events are still noticed, goals and exit rules too; who is due rests
    until the journey is resumed (`hold`) or leaves (`discard`). Messages that were queued before
    go out."""
    discard = body.mode == "discard"
    return await service.pause(session, caller.workspace_id, journey_id, discard)


@router.post("/{journey_id}/resume", summary="Resume a paused journey", responses=_CHANGE)
async def resume_journey(
    journey_id: UUID,
    request: Request,
    caller: UserCaller,
    session: Session,
    after: BackgroundTasks,
    body: ResumeRequest = _RESUME,
) -> Journey:
    """Delays and timeouts that ran out during the pause take effect now, not all at once but at
    the given rate. Times of a schedule that passed are not made up for."""
    workers = request.state.workers
    journey = await service.resume(
        session, caller.workspace_id, journey_id, body.per_minute, workers.engine.clock()
    )
    after.add_task(workers.wake_sweeps, caller.workspace_id)
    return journey


@router.post("/{journey_id}/archive", summary="End a journey for good", responses=_CHANGE)
async def archive_journey(journey_id: UUID, caller: UserCaller, session: Session) -> Journey:
    """Everybody inside leaves with the reason `journey_archived`."""
    return await service.archive(session, caller.workspace_id, journey_id)


@router.get("/{journey_id}/participants", summary="List participants", responses=_ONE)
async def list_participants(
    journey_id: UUID,
    session: Session,
    paging: PagingParams,
    profile_id: UUID | None = None,
    node: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
    state: Annotated[str | None, Query(pattern=r"^(due|waiting|exited)$")] = None,
) -> Page[ParticipantView]:
    """The latest to enter first."""
    await service.get(session, journey_id)
    rows = await store.participants(
        session,
        journey_id,
        after=after_id(paging),
        limit=paging.limit + 1,
        profile_id=profile_id,
        node=node,
        state=state,
    )
    return page_of([ParticipantView.model_validate(row) for row in rows], paging.limit)


@router.get("/{journey_id}/stats", summary="Counts per node", responses=_ONE)
async def read_stats(
    journey_id: UUID,
    session: Session,
    version: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> JourneyStats:
    """Of one version, or of all together."""
    await service.get(session, journey_id)
    flows = await store.flows(session, journey_id, version)
    sends = await store.sends(session, journey_id, version)
    reached = await conversion_store.counts(session, journey_id, version)
    found = stats.summarise(
        [
            Flow(version=f.version, source=f.source, outcome=f.outcome, target=f.target, count=f.n)
            for f in flows
        ],
        await store.waiting(session, journey_id, version),
        [(row.node, row.state, row.reason, row.n) for row in sends],
    )
    found.goals = {row.goal: GoalStats(people=row.people, value=row.value) for row in reached}
    return found
