"""Managing API keys over HTTP."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Request, Response

from gateway.callers import AdminCaller
from gateway.errors import AlreadyCreated, KeyNotFound, LastSecretKey, SourceNotFound
from gateway.idempotency import NewId
from gateway.keys import service, store
from gateway.keys.model import ApiKey, ApiKeyCreate, ApiKeyCreated
from gateway.keys.ring import KeyRing
from gateway.paging import after_id, page_of
from services.kit.pagination import Page, PagingParams
from services.kit.postgres import Session
from services.kit.problems import problem_responses
from services.kit.strict import StrictRoute

router = APIRouter(prefix="/api/v1/keys", tags=["keys"], route_class=StrictRoute)


@router.get("", operation_id="list_keys", summary="List the keys of the workspace")
async def list_keys(_: AdminCaller, session: Session, paging: PagingParams) -> Page[ApiKey]:
    return page_of(await store.page(session, after_id(paging), paging.limit + 1), paging)


@router.post(
    "",
    operation_id="create_key",
    summary="Create a key",
    description="The answer is the only place where the key itself is ever shown.",
    status_code=HTTPStatus.CREATED,
    responses=problem_responses(SourceNotFound, AlreadyCreated),
)
async def create_key(
    caller: AdminCaller, session: Session, body: ApiKeyCreate, key_id: NewId
) -> ApiKeyCreated:
    return await service.create(session, caller.workspace_id, body, caller.subject, key_id)


@router.delete(
    "/{key_id}",
    operation_id="revoke_key",
    summary="Revoke a key",
    description="The key stops working everywhere within 5 seconds. Revoking twice is no error.",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problem_responses(KeyNotFound, LastSecretKey),
)
async def revoke_key(
    caller: AdminCaller, session: Session, key_id: UUID, request: Request
) -> Response:
    await service.revoke(session, caller.workspace_id, key_id, caller.subject)
    ring: KeyRing = request.state.keys
    ring.forget(key_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)
