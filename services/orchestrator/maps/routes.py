"""Journey maps over HTTP."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from services.contracts.profile import StageModel
from services.kit.auth import UserCaller
from services.kit.idempotency import NewId
from services.kit.pagination import Page, PagingParams, encode_cursor
from services.kit.postgres import Session, workspace_tx
from services.kit.problems import InvalidRequest, Unavailable, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.maps import picture, service, store, templates
from services.orchestrator.maps.errors import (
    MapChanged,
    MapNotFound,
    MapTemplateNotFound,
    TouchpointNotFound,
)
from services.orchestrator.maps.model import (
    JourneyMap,
    Locale,
    MapCreate,
    MapDocument,
    MapReplace,
    MapSummary,
    Overlay,
    SignalBinding,
    TemplateSummary,
)

router = APIRouter(
    prefix="/api/v1",
    tags=["maps"],
    route_class=StrictRoute,
    responses=problem_responses(InvalidRequest, Unavailable),
)

Since = Annotated[AwareDatetime, Query(examples=["2018-01-01T00:00:00Z"])]
Until = Annotated[AwareDatetime, Query(examples=["2018-02-01T00:00:00Z"])]


@router.get("/map-templates", summary="List the built-in map templates")
async def list_templates(_: UserCaller, paging: PagingParams) -> Page[TemplateSummary]:
    """Each with its stages, in English and Chinese."""
    after = paging.after(int)
    start = int(after[0]) if after else 0
    known = templates.summaries()
    end = start + paging.limit
    return Page(
        items=known[start:end], next_cursor=encode_cursor(end) if end < len(known) else None
    )


@router.get(
    "/map-templates/{template_id}",
    summary="Read a template as a map",
    responses=problem_responses(MapTemplateNotFound),
)
async def read_template(template_id: str, _: UserCaller) -> MapDocument:
    found = templates.document(template_id)
    if found is None:
        raise MapTemplateNotFound(f"There is no template {template_id!r}.")
    return found


@router.post(
    "/maps",
    status_code=HTTPStatus.CREATED,
    summary="Create a map from a template or a document",
    responses=problem_responses(MapTemplateNotFound),
)
async def create_map(
    body: MapCreate, new_id: NewId, session: Session, caller: UserCaller
) -> JourneyMap:
    """Touchpoints of a template are not bound to anything yet: bind each to the event that shows
    it, and the map's overlay shows how often and by how many people it is used.
    """
    return await service.create(session, caller.workspace_id, new_id, body)


@router.get("/maps", summary="List maps")
async def list_maps(session: Session, paging: PagingParams) -> Page[MapSummary]:
    key = paging.after(str)
    after = None if key is None else _uuid(str(key[0]))
    found = await store.page(session, after, paging.limit + 1)
    shown = found[: paging.limit]
    more = len(found) > paging.limit
    return Page(items=shown, next_cursor=encode_cursor(str(shown[-1].id)) if more else None)


@router.get("/maps/{map_id}", summary="Read a map", responses=problem_responses(MapNotFound))
async def read_map(map_id: UUID, session: Session) -> JourneyMap:
    return await service.read(session, map_id)


@router.put(
    "/maps/{map_id}",
    summary="Replace a map",
    responses=problem_responses(MapNotFound, MapChanged),
)
async def replace_map(map_id: UUID, body: MapReplace, session: Session) -> JourneyMap:
    """`version` is the one you read; a change somebody made in between is never overwritten."""
    return await service.replace(session, map_id, body.version, body.document)


@router.delete(
    "/maps/{map_id}",
    status_code=HTTPStatus.NO_CONTENT,
    summary="Delete a map",
    responses=problem_responses(MapNotFound),
)
async def delete_map(map_id: UUID, session: Session) -> None:
    if not await store.remove(session, map_id):
        raise MapNotFound(f"Map {map_id} does not exist.", map_id=str(map_id))


@router.put(
    "/maps/{map_id}/touchpoints/{touchpoint_id}/signal",
    summary="Bind a touchpoint to the event that shows it",
    responses=problem_responses(MapNotFound, TouchpointNotFound),
)
async def bind_signal(
    map_id: UUID, touchpoint_id: str, body: SignalBinding, session: Session
) -> JourneyMap:
    return await service.bind(session, map_id, touchpoint_id, body.signal)


@router.get(
    "/maps/{map_id}/overlay",
    summary="Live numbers of a map",
    responses=problem_responses(MapNotFound),
)
async def read_overlay(
    map_id: UUID, request: Request, caller: UserCaller, since: Since, until: Until
) -> Overlay:
    """Counts and people per bound touchpoint, and how many people come from one observed stage to
    the next, in order. The numbers are those of the analytics for the same events and window.
    """
    _, overlay = await _measured(request, caller.workspace_id, map_id, since, until)
    return overlay


@router.get(
    "/maps/{map_id}/picture.svg",
    summary="The map as a picture",
    responses={200: {"content": {"image/svg+xml": {}}}, **problem_responses(MapNotFound)},
    response_class=Response,
)
async def draw_map(
    map_id: UUID,
    request: Request,
    caller: UserCaller,
    since: Since | None = None,
    until: Until | None = None,
    locale: Locale = "en",
) -> Response:
    """With `since` and `until` the live numbers of that window are drawn in."""
    if (since is None) != (until is None):
        raise InvalidRequest.at("#/query/since", "Give both since and until, or neither.")
    if since is None or until is None:
        async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
            found = await service.read(session, map_id)
        return _svg(picture.render(found.document, None, locale))
    found, overlay = await _measured(request, caller.workspace_id, map_id, since, until)
    return _svg(picture.render(found.document, overlay, locale))


@router.post(
    "/maps/{map_id}/publish-stages",
    summary="Publish the stage rules to the profiles",
    responses=problem_responses(MapNotFound),
)
async def publish_stages(map_id: UUID, request: Request, caller: UserCaller) -> StageModel:
    """From then on every profile has one stage of this map: of the stages whose entry rule holds,
    the last one.
    """
    async with workspace_tx(request.state.sessionmaker, caller.workspace_id) as session:
        found = await service.read(session, map_id)
    return await service.publish_stages(request.state.profile, caller.workspace_id, found)


async def _measured(
    request: Request, workspace_id: UUID, map_id: UUID, since: datetime, until: datetime
) -> tuple[JourneyMap, Overlay]:
    # Own short transaction: no connection is held while tracking is asked.
    async with workspace_tx(request.state.sessionmaker, workspace_id) as session:
        found = await service.read(session, map_id)
    overlay = await service.measure(request.state.tracking, workspace_id, found, since, until)
    return found, overlay


def _svg(text: str) -> Response:
    return Response(text, media_type="image/svg+xml")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidRequest.at(
            "#/query/cursor", "Use the next_cursor of an earlier answer."
        ) from (error)
