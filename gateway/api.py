"""The API: a secret key becomes a short-lived token for the service that owns the path. Links in
messages bring a token of their own, which their service checks."""

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import body, ingestion, write_key
from gateway.context import Context
from gateway.errors import InvalidKey, WrongKindOfKey
from gateway.keys.store import KeyRecord
from gateway.proxy import ClientWatch, Headers, Outgoing, relay, repeatable, request_headers
from services.kit.strict import MAX_BODY_BYTES

_CHALLENGE = {"WWW-Authenticate": "Bearer"}


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    service: str,
    context: Context,
    request_id: str,
    own_app: ASGIApp,
) -> None:
    """Checks the caller and has ``service`` answer; ``own_app`` is the gateway's own part."""
    record = await _caller(scope["headers"], context)
    token = context.signer.token(
        service,
        kind="user",
        subject=f"key:{record.id}",
        workspace_id=record.workspace_id,
        scopes=("admin",),
    )
    own: Headers = [
        (b"authorization", b"Bearer " + token.encode()),
        (b"x-request-id", request_id.encode()),
    ]
    headers = request_headers(scope["headers"]) + own
    if service == "gateway":
        await own_app({**scope, "headers": headers}, receive, send)
        return
    await _pass_on(scope, receive, send, service, context, headers)


async def serve_link(
    scope: Scope, receive: Receive, send: Send, service: str, context: Context, request_id: str
) -> None:
    """Nobody is known here; ``service`` believes the token in the path or does not."""
    token = context.signer.token(service, subject="link")
    headers: Headers = [
        *request_headers(scope["headers"]),
        (b"authorization", b"Bearer " + token.encode()),
        (b"x-request-id", request_id.encode()),
    ]
    await _pass_on(scope, receive, send, service, context, headers)


async def serve_front(
    scope: Scope, receive: Receive, send: Send, service: str, context: Context, request_id: str
) -> None:
    """The write key says in whose workspace; who is there ``service`` knows by its own token."""
    found = write_key.outside_body(dict(scope["headers"]), scope["query_string"])
    if found is None:
        raise InvalidKey("A write key is needed, in X-Write-Key or the query's writeKey.")
    record = await ingestion.check(context, found.key)
    token = context.signer.token(
        service,
        kind="user",
        subject=f"key:{record.id}",
        workspace_id=record.workspace_id,
        scopes=("front",),
        source_id=str(record.source_id),
    )
    headers: Headers = [
        *request_headers(scope["headers"]),
        (b"authorization", b"Bearer " + token.encode()),
        (b"x-request-id", request_id.encode()),
    ]
    plain = {**scope, "query_string": write_key.without_key(scope["query_string"])}
    await _pass_on(plain, receive, send, service, context, headers)


async def _pass_on(
    scope: Scope,
    receive: Receive,
    send: Send,
    service: str,
    context: Context,
    headers: Headers,
) -> None:
    declared = next((v for n, v in scope["headers"] if n == b"content-length"), None)
    content = await body.read(receive, MAX_BODY_BYTES, declared)
    query: bytes = scope["query_string"]
    outgoing = Outgoing(
        scope["method"],
        scope["raw_path"] + (b"?" + query if query else b""),
        headers + context.forwarded(scope),
        content,
        repeatable=repeatable(scope["method"]),
    )
    async with ClientWatch(receive):
        await relay(await context.services[service].send(outgoing), send)


async def _caller(headers: Headers, context: Context) -> KeyRecord:
    given = [value for name, value in headers if name == b"authorization"]
    scheme, _, key = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        detail = "Send one header Authorization: Bearer with a secret key."
        raise InvalidKey(detail, headers=_CHALLENGE)
    try:
        record = await context.keys.find(key.strip())
    except InvalidKey as problem:
        problem.headers = _CHALLENGE
        raise
    if record.kind != "secret":
        raise WrongKindOfKey("A write key can only post events; this needs a secret key.")
    return record
