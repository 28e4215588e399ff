"""The outermost layer: refuses, names, routes and dresses every request.

Plain ASGI around the gateway's own FastAPI part, because most requests never reach that part and
should not pay for it.
"""

import re
import time

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import api, ingestion
from gateway.body import ClientGone
from gateway.context import Context
from gateway.errors import NotFound, UnknownCall
from gateway.refusals import refuse_ambiguous
from gateway.routing import Api, Front, Ingestion, Link, Open, Target, route
from services.kit.app import new_request_id
from services.kit.problems import Problem, refusal, render

log = structlog.get_logger(__name__)

_REQUEST_ID = b"x-request-id"
_KEY = re.compile(r"[sw]k_[0-9A-Za-z_-]+")
# Metrics are served on a port of their own, not to the public.
_HIDDEN = "/metrics"
# Where clients post events: what is unknown here is answered as they understand it.
_CLIENTS = ("/v1/", "/api/s/")
SAFE_DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Headers an answer gets unless it brings its own."""


class Edge:
    """ASGI middleware; the lifespan's state holds the ``Context`` as ``edge``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        target = route(scope["path"])
        answer = _Answer(send, scope, request_id.encode(), target)
        try:
            refuse_ambiguous(scope)
            if scope["path"] == _HIDDEN:
                raise NotFound("Metrics are not public.")
            await self._serve(scope, receive, answer, target, request_id)
        except Problem as problem:
            await _render(scope, problem, target)(scope, receive, answer)
        except ClientGone:
            log.info("client_gone", method=scope["method"], path=_shown(scope, target))

    async def _serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        target: Target,
        request_id: str,
    ) -> None:
        context: Context = scope["state"]["edge"]
        match target:
            case Ingestion():
                await ingestion.serve(scope, receive, send, target, context, request_id)
            case Open():
                await self._serve_any_page(scope, receive, send, request_id)
            case Link(service):
                await self._serve_link(scope, receive, send, service, request_id)
            case Front(service):
                await self._serve_front(scope, receive, send, service, request_id)
            case Api(service):
                await api.serve(scope, receive, send, service, context, request_id, self._app)
            case None if scope["path"].startswith(_CLIENTS):
                raise UnknownCall("There is nothing at this path; docs/clients.md lists the calls.")
            case None:
                await self._app(_anonymous(scope, request_id), receive, send)

    async def _serve_any_page(
        self, scope: Scope, receive: Receive, send: Send, request_id: str
    ) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        send = ingestion.with_cors(send, headers)
        if scope["method"] == "OPTIONS":
            await ingestion.preflight(send, headers, b"GET, POST, OPTIONS")
            return
        # Credentials stay on: RudderStack's client says with them whose configuration it wants.
        given = ((k, v) for k, v in scope["headers"] if k != _REQUEST_ID)
        named = {**scope, "headers": [*given, (_REQUEST_ID, request_id.encode())]}
        await self._app(named, receive, send)

    async def _serve_link(
        self, scope: Scope, receive: Receive, send: Send, service: str, request_id: str
    ) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        send = ingestion.with_cors(send, headers)
        if scope["method"] == "OPTIONS":
            await ingestion.preflight(send, headers, b"GET, POST, OPTIONS")
            return
        await api.serve_link(scope, receive, send, service, scope["state"]["edge"], request_id)

    async def _serve_front(
        self, scope: Scope, receive: Receive, send: Send, service: str, request_id: str
    ) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        send = ingestion.with_cors(send, headers)
        if scope["method"] == "OPTIONS":
            await ingestion.preflight(send, headers, b"GET, POST, OPTIONS")
            return
        await api.serve_front(scope, receive, send, service, scope["state"]["edge"], request_id)


def _anonymous(scope: Scope, request_id: str) -> Scope:
    """What is open to everybody (health, docs, the 404s) is served without credentials."""
    given = ((k, v) for k, v in scope["headers"] if k not in (b"authorization", _REQUEST_ID))
    return {**scope, "headers": [*given, (_REQUEST_ID, request_id.encode())]}


def _render(scope: Scope, problem: Problem, target: Target) -> ASGIApp:
    if isinstance(target, Ingestion | Open) or isinstance(problem, UnknownCall):
        return refusal(Request(scope), problem)
    return render(
        Request(scope),
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        headers=problem.headers,
        **problem.members,
    )


def _shown(scope: Scope, target: Target) -> str:
    """The path without the key that some hold, by mistake too."""
    shown = target.shown if isinstance(target, Open | Link | Ingestion) else None
    path: str = scope["path"]
    return _KEY.sub("…", path) if shown is None else shown


class _Answer:
    """``send`` that puts on the request id and the safe defaults, and writes the log line."""

    def __init__(self, send: Send, scope: Scope, request_id: bytes, target: Target) -> None:
        self._send = send
        self._scope = scope
        self._path = _shown(scope, target)
        self._request_id = request_id
        self._began = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._dress(message)
        await self._send(message)

    def _dress(self, message: Message) -> None:
        headers = [(k, v) for k, v in message.get("headers", ()) if k != _REQUEST_ID]
        present = {name for name, _ in headers}
        headers.append((_REQUEST_ID, self._request_id))
        headers.extend(pair for pair in SAFE_DEFAULTS if pair[0] not in present)
        message["headers"] = headers
        status: int = message["status"]
        # Ingestion at full rate would write more log than events.
        write = log.debug if status == 200 and self._scope["method"] == "POST" else log.info
        write(
            "request",
            method=self._scope["method"],
            # Never the query: SDKs put keys there.
            path=self._path,
            status=status,
            milliseconds=round((time.perf_counter() - self._began) * 1000, 2),
        )
