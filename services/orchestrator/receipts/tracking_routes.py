"""The pixel and the redirects of mails: public, without login; the token says what and where to."""

import base64
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from services.kit.auth import ServiceCaller
from services.kit.problems import InvalidRequest, problem_responses
from services.kit.strict import StrictRoute
from services.orchestrator.errors import LinkNotValid
from services.orchestrator.receipts import automated
from services.orchestrator.receipts.links import is_web
from services.orchestrator.receipts.model import NewReceipt, ReceiptKind
from services.orchestrator.receipts.tokens import MAX_LENGTH, Tracked

router = APIRouter(
    prefix="/v1",
    tags=["receipts"],
    route_class=StrictRoute,
    responses=problem_responses(LinkNotValid, InvalidRequest),
)
Token = Annotated[str, Path(max_length=MAX_LENGTH, description="The last part of the address.")]
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_AT_ONCE = {"cache-control": "no-store"}
"""A picture or redirect that a cache answers is one we do not hear of."""


@router.get(
    "/o/{token}",
    summary="The pixel of a mail",
    response_class=Response,
    responses={200: {"content": {"image/gif": {}}, "description": "One transparent point."}},
)
async def open_mail(token: Token, request: Request, _: ServiceCaller) -> Response:
    """Loading it counts the mail as opened."""
    tracked = _read(request, "open", token)
    _note(request, "opened", tracked)
    return Response(_GIF, media_type="image/gif", headers=_AT_ONCE)


@router.head("/o/{token}", include_in_schema=False)
async def look_at_mail(token: Token, request: Request, caller: ServiceCaller) -> Response:
    return await open_mail(token, request, caller)


@router.get(
    "/c/{token}",
    status_code=302,
    summary="A link of a mail",
    response_class=RedirectResponse,
    responses={302: {"description": "To the address that the token holds, and to no other."}},
)
async def follow_link(token: Token, request: Request, _: ServiceCaller) -> Response:
    """Counts the click and leads on to the address that was in the mail."""
    tracked = _read(request, "click", token)
    if not is_web(tracked.url):
        raise LinkNotValid("This link does not lead to the web.")
    _note(request, "clicked", tracked)
    return RedirectResponse(tracked.url, 302, _AT_ONCE)


@router.head("/c/{token}", include_in_schema=False)
async def look_at_link(token: Token, request: Request, caller: ServiceCaller) -> Response:
    return await follow_link(token, request, caller)


def _read(request: Request, kind: Literal["open", "click"], token: str) -> Tracked:
    found: Tracked | None = request.state.tokens.read(kind, token)
    if found is None:
        raise LinkNotValid("This link was changed on its way, or is none of ours.")
    return found


def _note(request: Request, kind: ReceiptKind, tracked: Tracked) -> None:
    by = automated.reason(request.method, request.headers)
    parts = [str(tracked.link)] if kind == "clicked" else []
    detail = {"link": tracked.link, "url": tracked.url} if kind == "clicked" else {}
    receipt = NewReceipt(
        tracked.message_id,
        kind,
        request.state.workers.engine.clock(),
        key=":".join([*parts, "automated"] if by else parts),
        automated=by is not None,
        detail=detail | ({"by": by} if by else {}),
    )
    request.state.recorder.add(tracked.workspace_id, receipt)
