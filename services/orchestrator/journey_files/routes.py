"""Journeys as files over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.kit.auth import Forbidden, Unauthenticated, UserCaller
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import JourneyNotFound, JourneyStateConflict
from services.orchestrator.journey_files import service
from services.orchestrator.journey_files.model import Applied, JourneyFile, JourneyFileBody
from services.orchestrator.journeys import store
from services.orchestrator.journeys.shapes import JourneyKey
from services.orchestrator.paging import after_id, page_of

router = APIRouter(
    prefix="/api/v1/journey-files",
    tags=["journeys"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unauthenticated, Forbidden),
)
Key = Annotated[JourneyKey, Path()]


@router.get("", summary="Export journeys as files, newest first")
async def export_journeys(session: Session, paging: PagingParams) -> Page[JourneyFile]:
    """The drafts; archived journeys are left out."""
    rows = await store.page(session, after_id(paging), paging.limit + 1, None)
    shown = page_of(list(rows), paging.limit)
    files = [await service.file_of(session, row) for row in shown.items if row.state != "archived"]
    return Page(items=files, next_cursor=shown.next_cursor)


@router.get(
    "/{key}", summary="Export a journey as a file", responses=problem_responses(JourneyNotFound)
)
async def export_journey(key: Key, session: Session) -> JourneyFile:
    """The draft, with the names of the channels, templates and journeys that it mentions."""
    row = await store.find_by_key(session, key)
    if row is None:
        raise JourneyNotFound(f"There is no journey with the key {key!r}.")
    return await service.file_of(session, row)


@router.put(
    "/{key}",
    summary="Apply a file",
    responses=problem_responses(JourneyStateConflict),
)
async def apply_file(
    key: Key,
    body: JourneyFileBody,
    caller: UserCaller,
    session: Session,
    dry_run: Annotated[bool, Query(description="Only tell what would change.")] = False,
) -> Applied:
    """The file becomes the draft of the journey with this key, created where there is none. What
    people enter changes when it is published."""
    return await service.apply(session, caller.workspace_id, key, body, dry_run=dry_run)
