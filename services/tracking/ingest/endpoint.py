"""The SDKs' own paths as plain ASGI, in front of FastAPI, whose machinery costs more than the work.

Bodies come with any content type, so nothing of FastAPI's binding is missed. What is answered
stands in the OpenAPI document all the same (``ingest.openapi``).
"""

import base64

import structlog
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.identifiers import Policy
from services.kit.app import request_id_of
from services.kit.auth import Caller, Forbidden, TokenVerifier, authenticated
from services.kit.problems import MethodNotAllowed, Problem, refusal
from services.tracking.ingest import accept, body, clock
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.protocols.call import Sent
from services.tracking.ingest.protocols.registry import PROTOCOLS
from services.tracking.log.port import Append, LogAppender
from services.tracking.plans.apply import Plan

BATCH = "batch"
CALLS = {
    "track": "track", "t": "track", "identify": "identify", "i": "identify",
    "page": "page", "p": "page", "screen": "screen", "s": "screen",
    "group": "group", "g": "group", "alias": "alias", "a": "alias",
    "batch": BATCH, "b": BATCH, "import": BATCH,
}  # fmt: skip
_NAMES = {f"/v1/{name}{slash}": name for name in (*CALLS, *PROTOCOLS) for slash in ("", "/")}
SUCCESS = b'{"success": true}'
_SUCCESS_HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", str(len(SUCCESS)).encode()),
)
_RawHeaders = dict[bytes, bytes]


class Ingestion:
    """ASGI in front of ``app``; the lifespan's state holds ``appender``, ``plans``,
    ``policies`` and ``now_ms``."""

    def __init__(self, app: ASGIApp, verifier: TokenVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _NAMES.get(scope["path"])
        if name is None:
            await self._app(scope, receive, send)
            return
        headers: _RawHeaders = dict(scope["headers"])
        request_id = request_id_of(headers)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        own = (b"x-request-id", request_id.encode())
        try:
            failure = await self._accept(name, scope, receive, headers, request_id)
        except Problem as problem:
            failure = problem
        except ClientDisconnect:
            # Half a body: nothing was taken, and nobody is left to be told.
            return
        if failure is not None:
            response = refusal(Request(scope), failure)
            response.raw_headers.append(own)
            await response(scope, receive, send)
            return
        start = {"type": "http.response.start", "status": 200, "headers": [*_SUCCESS_HEADERS, own]}
        await send(start)
        await send({"type": "http.response.body", "body": SUCCESS})

    async def _accept(
        self, name: str, scope: Scope, receive: Receive, headers: _RawHeaders, request_id: str
    ) -> Problem | None:
        """Makes the request durable; the problem to answer with all the same, if there is one."""
        if scope["method"] != "POST":
            raise MethodNotAllowed("Post events here.", headers={"Allow": "POST"})
        caller = writer(self._verifier, headers.get(b"authorization", b"").decode("latin-1"))
        state = scope["state"]
        source_id = caller.source_id or "api"
        raw = body.inflate(await body.read(receive))
        plan = await state["plans"].of(caller.workspace_id, source_id)
        policy = await state["policies"].of(caller.workspace_id)
        origin = _origin(caller, source_id, headers, request_id, state["now_ms"](), policy)
        append, failure = _append(name, raw, scope, origin, plan)
        if append.count or append.quarantined:
            appender: LogAppender = state["appender"]
            await appender.append(append)
        return failure


def _append(
    name: str, raw: bytes, scope: Scope, origin: Origin, plan: Plan | None
) -> tuple[Append, Problem | None]:
    call = CALLS.get(name)
    if call is None:
        query = QueryParams(scope["query_string"])
        sent = Sent(raw, Headers(scope=scope), query, origin.received_at)
        return accept.accept_calls(PROTOCOLS[name](sent), origin, plan, name)
    if call == BATCH:
        return accept.accept_batch(raw, origin, plan), None
    return accept.accept_event(raw, call, origin, plan)


def writer(verifier: TokenVerifier, authorization: str) -> Caller:
    """Who sends events; ``Unauthenticated``, ``Forbidden``."""
    caller = authenticated(verifier, authorization)
    if not caller.scopes & {"ingest", "admin"}:
        raise Forbidden("This key may not send events.")
    return caller


def _origin(
    caller: Caller,
    source_id: str,
    headers: _RawHeaders,
    request_id: str,
    received_at: int,
    policy: Policy,
) -> Origin:
    sent_at = headers.get(b"sentat")
    return Origin(
        caller.workspace_id,
        source_id,
        received_at,
        None if sent_at is None else clock.parse(sent_at.decode("latin-1")),
        # The gateway says where it found the key; a direct caller is a server.
        server_key=headers.get(b"x-key-place", b"basic") == b"basic",
        anonymous_id=_anonymous_id(headers.get(b"anonymousid")),
        request_id=request_id,
        policy=policy,
    )


def _anonymous_id(header: bytes | None) -> str:
    """RudderStack's clients say it in base64; what is none says nothing."""
    if not header:
        return ""
    try:
        return base64.b64decode(header, validate=True).decode()
    except ValueError:
        return ""
