"""What pages of any origin get without more than a write key: configuration and pixels."""

import re
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway import ingestion, write_key
from gateway.clients import configuration, pixel
from gateway.context import Context
from gateway.errors import InvalidKey, KeyStoreUnavailable
from gateway.keys.secret import parse
from services.kit.problems import Problem, ProblemBody, refusal

log = structlog.get_logger(__name__)

router = APIRouter(tags=["clients"])

# A browser may keep it for minutes; a cache that several share may not, because the document names
# the host it was asked at.
_KEEP = {"Cache-Control": "private, max-age=300"}
_KEEP_SCRIPT = {"Cache-Control": "public, max-age=300"}
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:]{2,45}\](:[0-9]{1,5})?")
_REFUSED: dict[int | str, dict[str, Any]] = {401: {"model": ProblemBody}}
_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/v1/projects/{key}/settings",
    operation_id="segment_settings",
    summary="Settings of Segment's browser and mobile clients",
    responses=_REFUSED,
)
@router.get("/projects/{key}/settings", include_in_schema=False)
@router.get("/v1/projects/{key}/settings/", include_in_schema=False)
@router.get("/projects/{key}/settings/", include_in_schema=False)
async def segment_settings(request: Request, key: str) -> Response:
    """Switches batching on and the clients' own measurements off."""
    try:
        await ingestion.check(_context(request), key)
    except KeyStoreUnavailable:
        # Without settings the client throws the page's events away; with them it tries again.
        if parse(key) is None:
            return refusal(request, InvalidKey("This is not a key."))
    except Problem as problem:
        return refusal(request, problem)
    scheme, host = _asked_at(request)
    return JSONResponse(configuration.segment_settings(key, scheme, host), headers=_KEEP)


@router.get(
    "/sourceConfig",
    operation_id="rudderstack_source_config",
    summary="Configuration of RudderStack's browser and mobile clients",
    responses=_REFUSED,
)
@router.get("/sourceConfig/", include_in_schema=False)
async def source_config(request: Request) -> Response:
    """The write key is the user of Basic authentication, or `writeKey` in the query."""
    headers: dict[bytes, bytes] = dict(request.scope["headers"])
    found = write_key.outside_body(headers, request.scope["query_string"])
    try:
        if found is None:
            raise InvalidKey("A write key is needed, for example as `writeKey` in the query.")
        record = await ingestion.check(_context(request), found.key)
    except Problem as problem:
        return refusal(request, problem)
    document = configuration.source_config(
        str(record.source_id), str(record.workspace_id), found.key
    )
    return JSONResponse(document, headers=_KEEP)


@router.get(
    "/p.js",
    operation_id="jitsu_script",
    summary="The script of Jitsu's pages",
    response_class=Response,
    responses={200: {"content": {"text/javascript": {"schema": {"type": "string"}}}}},
)
async def jitsu_script() -> Response:
    """For `<script async src="…/p.js" data-write-key="…">`: sends a page event by itself (not with
    `data-init-only`) and offers `jitsu.track`, `identify`, `page` and `group`. Events go to
    `/api/s/{type}` of the script's own origin."""
    return Response(_script(), media_type="text/javascript", headers=_KEEP_SCRIPT)


@cache
def _script() -> bytes:
    return files("gateway").joinpath("clients", "p.js").read_bytes()


@router.get(
    "/array/{token}/config",
    operation_id="posthog_config",
    summary="Configuration of PostHog's browser client",
)
@router.get("/array/{token}/config/", include_in_schema=False)
async def posthog_config(token: str) -> dict[str, Any]:
    """Nothing to configure: the client goes by its defaults."""
    return {}


@router.get(
    "/array/{token}/config.js",
    operation_id="posthog_config_script",
    summary="Configuration of PostHog's browser client, as a script",
    response_class=Response,
    responses={200: {"content": {"text/javascript": {"schema": {"type": "string"}}}}},
)
async def posthog_config_script(token: str) -> Response:
    """The same as `/array/{token}/config`; the client asks here first."""
    script = configuration.posthog_script(token)
    return Response(script, media_type="text/javascript", headers=_KEEP)


@router.get("/flags", operation_id="posthog_flags", summary="Feature flags of PostHog's clients")
@router.post("/flags", include_in_schema=False)
@router.api_route("/flags/", methods=["GET", "POST"], include_in_schema=False)
@router.api_route("/decide", methods=["GET", "POST"], include_in_schema=False)
@router.api_route("/decide/", methods=["GET", "POST"], include_in_schema=False)
async def posthog_flags() -> dict[str, Any]:
    """There are none; the client waits for an answer before it sends events."""
    return configuration.FLAGS


@router.post("/v1/m", operation_id="client_metrics", summary="Drop a client's own measurements")
@router.post("/v1/m/", include_in_schema=False)
@router.post("/m", include_in_schema=False)
@router.post("/m/", include_in_schema=False)
async def client_metrics() -> dict[str, bool]:
    """Clients of Segment measure themselves; it is answered and not kept."""
    return {"success": True}


@router.get(
    "/v1/pixel/{call}",
    operation_id="segment_pixel",
    summary="Post a call by an image",
    response_class=Response,
    responses=_IMAGE,
)
@router.get("/v1/pixel/{call}/", include_in_schema=False)
async def segment_pixel(request: Request, call: str) -> Response:
    """The query's `data` is the call as JSON or base64 of it, with its `writeKey`. The answer is
    always the image, also where the call was refused."""
    return await _pixel(request, call, pixel.from_data)


@router.get(
    "/pixel/v1/{call}",
    operation_id="rudderstack_pixel",
    summary="Post a call by an image, a parameter per field",
    response_class=Response,
    responses=_IMAGE,
)
@router.get("/pixel/v1/{call}/", include_in_schema=False)
async def rudderstack_pixel(request: Request, call: str) -> Response:
    """`?writeKey=…&anonymousId=…&event=…&context.page.url=…`; always answered with the image."""
    return await _pixel(request, call, pixel.from_fields)


async def _pixel(request: Request, call: str, read: pixel.Read) -> Response:
    try:
        status = await _post(request, call, read(request.scope["query_string"].decode("latin-1")))
        if status != HTTPStatus.OK:
            log.info("pixel_refused", call=call, status=status)
    except Problem as problem:
        log.info("pixel_refused", call=call, problem=problem.type)
    return Response(pixel.GIF, media_type="image/gif")


async def _post(request: Request, call: str, event: dict[str, Any]) -> int:
    """Tracking's status."""
    if call not in pixel.CALLS:
        return HTTPStatus.NOT_FOUND
    key = event.pop("writeKey", None)
    if not isinstance(key, str):
        raise InvalidKey("A pixel carries its write key in `writeKey`.")
    context = _context(request)
    record = await ingestion.check(context, key)
    pixel.add_user_agent(event, request.headers.get("user-agent"))
    content = msgspec.json.encode(event)
    request_id = request.headers.get("x-request-id", "")
    path = f"/v1/{call}".encode()
    answer = await ingestion.deliver(
        context, request.scope, record, "query", path, content, request_id
    )
    return answer.status


def _asked_at(request: Request) -> tuple[str, str]:
    """(scheme, host) the client reached us by; a proxy in front that ends TLS says so."""
    host = request.headers["host"]
    if _HOST.fullmatch(host) is None:
        host = "localhost"
    forwarded = request.headers.get("x-forwarded-proto", "")
    return forwarded if forwarded in ("http", "https") else request.url.scheme, host


def _context(request: Request) -> Context:
    context: Context = request.state.edge
    return context
