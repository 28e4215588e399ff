"""The door for SDKs: ``/v1/…`` with a write key, answered as the clients in the field need it."""

import re

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from gateway import body, write_key
from gateway.context import Context
from gateway.errors import InvalidKey, WrongKindOfKey
from gateway.ingest_client import Answer
from gateway.keys.store import KeyRecord
from gateway.proxy import Headers, Outgoing, answer_headers, request_headers
from gateway.routing import Family, Ingestion
from services.kit.inflate import inflate
from services.kit.problems import MethodNotAllowed, Problem, refusal

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
        await refusal(Request(scope), problem)(scope, receive, send)


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
    if target.key is not None:
        found: write_key.Found | None = write_key.Found(target.key, "path")
    else:
        found = write_key.outside_body(headers, scope["query_string"], target.family)
    declared = headers.get(b"content-length")
    record = await check(context, found.key) if found else None
    if found is None or record is None:
        content = await body.read(receive, MAX_BODY_BYTES, declared)
        found = _in_body(headers, content, target.family)
        record = await check(context, found.key)
    else:
        content = None
    # Tells server-side clients (Basic) from browsers: it decides how clocks are read.
    place = "basic" if target.server_side else found.place
    query = write_key.without_key(scope["query_string"])
    path = target.path.encode() + (b"?" + query if query else b"")
    size = min(int(declared), MAX_BODY_BYTES) if declared else 0
    with context.admission.under_way(record.workspace_id, size) as came:
        if content is None:
            content = await body.read(receive, MAX_BODY_BYTES, declared, came)
        else:
            came(len(content))
        answer = await deliver(context, scope, record, place, path, content, request_id)
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": answer_headers(answer.headers),
        }
    )
    await send({"type": "http.response.body", "body": answer.body})


async def deliver(
    context: Context,
    scope: Scope,
    record: KeyRecord,
    place: write_key.Place,
    path: bytes,
    content: bytes,
    request_id: str,
) -> Answer:
    """Tracking's answer to ``content``."""
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
    async with context.admission.turn(record.workspace_id, len(content)):
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
    key = write_key.in_body(inflate(content, MAX_BODY_BYTES), family) if content else None
    if key:
        return write_key.Found(key, "bearer" if bearer else "body")
    if bearer:
        return write_key.Found(bearer, "bearer")
    raise InvalidKey("A write key is needed, for example as the user of Basic authentication.")


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
                # Else a page's client cannot read when to try again.
                (b"access-control-expose-headers", b"Retry-After"),
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
