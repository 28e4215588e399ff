"""Managing sources and their write keys over HTTP."""

from http import HTTPStatus

from fastapi import APIRouter

from gateway.callers import AdminCaller
from gateway.errors import AlreadyCreated
from gateway.idempotency import NewId
from gateway.paging import after_id, page_of
from gateway.sources import service, store
from gateway.sources.model import Source, SourceCreate, SourceCreated
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(prefix="/api/v1/sources", tags=["sources"], route_class=StrictRoute)


@router.get("", operation_id="list_sources", summary="List the sources of the workspace")
async def list_sources(_: AdminCaller, session: Session, paging: PagingParams) -> Page[Source]:
    return page_of(await store.page(session, after_id(paging), paging.limit + 1), paging)


@router.post(
    "",
    operation_id="create_source",
    summary="Create a source and its first write key",
    description="The answer is the only place where the write key is ever shown.",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(AlreadyCreated),
)
async def create_source(
    caller: AdminCaller, session: Session, body: SourceCreate, source_id: NewId
) -> SourceCreated:
    return await service.create(session, caller.workspace_id, source_id, body.name, caller.subject)
