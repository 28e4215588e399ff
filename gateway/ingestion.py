"""The door for SDKs: ``/v1/…`` with a write key, answered as the clients in the field need it."""

import re

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

from gateway import body, write_key
from gateway.context import Context
from gateway.errors import InvalidKey, MethodNotAllowed, WrongKindOfKey
from gateway.keys.store import KeyRecord
from gateway.proxy import Headers, Outgoing, relay, request_headers
from gateway.routing import Family, Ingestion
from services.kit.problems import Problem, render

# The largest batch of a supported SDK. A smaller cap makes clients throw whole batches away.
MAX_BODY_BYTES = 5 * 1024 * 1024
PREFLIGHT_SECONDS = 900
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~, \t-]{1,2000}")
_MIRRORED = (b"access-control-allow-origin", b"access-control-allow-credentials", b"vary")
_ORIGIN = re.compile(r"[\x21-\x7e]{1,500}")


async def serve(
    scope: Scope, receive: Receive, send: Send, target: Ingestion, context: Context, request_id: str
) -> None:
    """Answers one call of an SDK."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    send = with_cors(send, headers)
    if scope["method"] == "OPTIONS":
        await preflight(send, headers, b"POST, OPTIONS")
        return
    try:
        await _forward(scope, receive, send, headers, target, context, request_id)
    except Problem as problem:
        await refusal(scope, problem)(scope, receive, send)


async def _forward(
    scope: Scope,
    receive: Receive,
    send: Send,
    headers: dict[bytes, bytes],
    target: Ingestion,
    context: Context,
    request_id: str,
) -> None:
    if scope["method"] != "POST":
        raise MethodNotAllowed("Post events here.", headers={"Allow": "POST, OPTIONS"})
    # The key is checked before the body is read where it stands outside of it: a stranger costs
    # us no memory.
    found = write_key.outside_body(headers, scope["query_string"], target.family)
    record = await check(context, found.key) if found else None
    if record is not None:
        context.turns.check(record.workspace_id)
    content = await body.read(receive, MAX_BODY_BYTES, headers.get(b"content-length"))
    if found is None or record is None:
        found = _in_body(headers, content, target.family)
        record = await check(context, found.key)
    # Tells server-side clients (Basic) from browsers: it decides how clocks are read.
    place = "basic" if target.server_side else found.place
    query = write_key.without_key(scope["query_string"])
    path = target.path.encode() + (b"?" + query if query else b"")
    response = await deliver(context, scope, record, place, path, content, request_id)
    await relay(response, send)


async def deliver(
    context: Context,
    scope: Scope,
    record: KeyRecord,
    place: write_key.Place,
    path: bytes,
    content: bytes,
    request_id: str,
) -> httpx2.Response:
    """Tracking's answer to ``content``, its body not yet read."""
    token = context.signer.token(
        "tracking",
        kind="user",
        subject=f"key:{record.id}",
        workspace_id=record.workspace_id,
        scopes=("ingest",),
        source_id=str(record.source_id),
    )
    own: Headers = [
        (b"authorization", b"Bearer " + token.encode()),
        (b"x-request-id", request_id.encode()),
        (b"x-key-place", place.encode()),
        *context.forwarded(scope),
    ]
    outgoing = Outgoing(
        "POST",
        path,
        request_headers(scope["headers"]) + own,
        content,
        # Events carry their message id, so a second delivery is a duplicate, not a loss.
        repeatable=True,
    )
    async with context.turns.turn(record.workspace_id, len(content)):
        return await context.ingest.send(outgoing)


async def check(context: Context, key: str) -> KeyRecord:
    """The write key ``key``; ``InvalidKey``, ``WrongKindOfKey`` or ``KeyStoreUnavailable``."""
    record = await context.keys.find(key)
    if record.kind != "write":
        raise WrongKindOfKey("Events are posted with a write key, never with a secret key.")
    return record


def _in_body(headers: dict[bytes, bytes], content: bytes, family: Family) -> write_key.Found:
    bearer = headers.get(b"authorization", b"").decode("latin-1").partition(" ")[2].strip()
    if not content and not bearer:
        raise InvalidKey("A write key is needed, for example as the user of Basic authentication.")
    key = write_key.in_body(body.inflate(content, MAX_BODY_BYTES), family) if content else None
    if key:
        return write_key.Found(key, "bearer" if bearer else "body")
    if bearer:
        return write_key.Found(bearer, "bearer")
    raise InvalidKey("A write key is needed, for example as the user of Basic authentication.")


def refusal(scope: Scope, problem: Problem) -> JSONResponse:
    """A problem with ``code`` and ``message``: SDKs that miss these two try again for ever."""
    return render(
        Request(scope),
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        headers=problem.headers,
        code=problem.type.rpartition("/")[2].replace("-", "_"),
        message=problem.detail,
        **problem.members,
    )


def with_cors(send: Send, headers: dict[bytes, bytes]) -> Send:
    """Any page may post events, with cookies, so its origin is mirrored (``*`` forbids those)."""
    origin = headers.get(b"origin")
    if origin is None or not _ORIGIN.fullmatch(origin.decode("latin-1")):
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *(
                    (name, value)
                    for name, value in message.get("headers", ())
                    if name not in _MIRRORED
                ),
                (b"access-control-allow-origin", origin),
                (b"access-control-allow-credentials", b"true"),
                (b"vary", b"Origin"),
            ]
        await send(message)

    return sending


async def preflight(send: Send, headers: dict[bytes, bytes], methods: bytes) -> None:
    """Grants what the browser asks for; ``send`` is one of ``with_cors``."""
    wanted = headers.get(b"access-control-request-headers", b"")
    answer = [
        (b"access-control-allow-methods", methods),
        (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        (b"content-length", b"0"),
    ]
    if _HEADER_NAMES.fullmatch(wanted.decode("latin-1")):
        answer.append((b"access-control-allow-headers", wanted))
    await send({"type": "http.response.start", "status": 200, "headers": answer})
    await send({"type": "http.response.body", "body": b""})
