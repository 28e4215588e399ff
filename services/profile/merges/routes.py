"""Merging, undoing, and what both did, over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request

from services.kit.auth import UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.profile.clock import to_ms
from services.profile.errors import (
    MergeNotFound,
    MergeTooLarge,
    MergeUndone,
    ProfileNotFound,
    ProfilesAreOne,
)
from services.profile.merges import journeys, ledger, service, store
from services.profile.merges.model import (
    Merge,
    MergeCreate,
    MergeDetail,
    PersonGraph,
    UndoCreate,
    merge_of,
)
from services.profile.merges.service import Decision
from services.profile.profiles.service import canonical
from services.profile.stream.consumer import rules_bell

router = APIRouter(
    prefix="/api/v1",
    tags=["merges"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest),
)

LATEST = (2**53, UUID(int=2**128 - 1))


@router.post(
    "/profiles/{profile_id}/merge",
    summary="Merge another profile into one person with this one",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(ProfileNotFound, ProfilesAreOne, MergeTooLarge),
)
async def merge_profiles(
    profile_id: UUID,
    body: MergeCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
    decision_id: NewId,
) -> Merge:
    """The known one survives, of two anonymous ones the older. Of two known people the one in the
    path survives and keeps its `user_id`; the other's `user_id` becomes an identifier of it.
    Traits it lacks are filled in; of consents the latest statement counts.
    """
    now_ms = to_ms(request.state.clock.now())
    decision = Decision(decision_id, body.reason, caller.subject, now_ms)
    made = await service.merge(
        session, caller.workspace_id, profile_id, body.merged_id, decision, request.state.rules
    )
    after.add_task(request.state.bell.ring, str(caller.workspace_id))
    return merge_of(made)


@router.post(
    "/merges/{merge_id}/undo",
    summary="Undo a merge",
    responses=problem_responses(MergeNotFound, MergeUndone),
)
async def undo_merge(
    merge_id: UUID,
    body: UndoCreate,
    session: Session,
    caller: UserCaller,
    request: Request,
    after: BackgroundTasks,
    decision_id: NewId,
) -> Merge:
    """Also merges that events made, in any order. Identifiers go back to where they came from, what
    was linked through them since included; past events follow them. Nothing that was sent is
    taken back, and no journey is entered a second time. Segments and stages of both stand still
    until their events are counted anew, which takes seconds.
    """
    workspace_id = caller.workspace_id
    now_ms = to_ms(request.state.clock.now())
    decision = Decision(decision_id, body.reason, caller.subject, now_ms)
    made = await service.unmerge(session, workspace_id, merge_id, decision)
    # After the answer, and so after the commit: readers and the consumer must find it.
    for bell in (str(workspace_id), rules_bell(workspace_id)):
        after.add_task(request.state.bell.ring, bell)
    return merge_of(made)


@router.get(
    "/merges/{merge_id}",
    summary="Read a merge and what it affected",
    responses=problem_responses(MergeNotFound),
)
async def read_merge(merge_id: UUID, caller: UserCaller, request: Request) -> MergeDetail:
    """Both profiles as they were, and the segments, stages and journeys that were affected."""
    workspace_id = caller.workspace_id
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        made = await service.find(session, workspace_id, merge_id)
        entry = await ledger.read(session, workspace_id, made)
    met = await journeys.impact(request.state.orchestrator, workspace_id, entry.profile_ids)
    return entry.detail(met)


@router.get(
    "/profiles/{profile_id}/merges",
    summary="Merges of a person, undone ones included",
    responses=problem_responses(ProfileNotFound),
)
async def list_merges(
    profile_id: UUID, session: Session, caller: UserCaller, paging: PagingParams
) -> Page[Merge]:
    """The latest first."""
    workspace_id = caller.workspace_id
    living = await canonical(session, workspace_id, profile_id)
    ids = await store.ids_of(session, workspace_id, living)
    before = _before(paging.after(int, str))
    found = await store.page(session, workspace_id, ids, before, paging.limit + 1)
    shown = found[: paging.limit]
    cursor = None
    if len(found) > paging.limit:
        cursor = encode_cursor(to_ms(shown[-1].merged_at), str(shown[-1].merge_id))
    return Page(items=[merge_of(each) for each in shown], next_cursor=cursor)


@router.get(
    "/profiles/{profile_id}/graph",
    summary="A person as a graph of profiles, identifiers and merges",
    responses=problem_responses(ProfileNotFound),
)
async def read_graph(profile_id: UUID, session: Session, caller: UserCaller) -> PersonGraph:
    """Why this is one person: who was merged by what, and which identifiers were refused."""
    living = await canonical(session, caller.workspace_id, profile_id)
    return await ledger.graph(session, caller.workspace_id, living)


def _before(key: tuple[str | int, ...] | None) -> tuple[int, UUID]:
    if key is None:
        return LATEST
    try:
        return min(int(key[0]), LATEST[0]), UUID(str(key[1]))
    except ValueError as error:
        raise InvalidRequest.at("#/query/cursor", "Use the next_cursor of a page.") from error
