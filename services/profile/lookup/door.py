"""``GET /api/v1/profiles?namespace=&value=`` as plain ASGI, in front of FastAPI (ADR 0019, 0030).

The plain case is answered here, and everything else — other parameters, whatever is wrong with the
request — by the documented route behind, which answers the plain case alike.
"""

from urllib.parse import parse_qsl

from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp, Receive, Scope, Send

from services.contracts.profile import Profile
from services.kit.app import ServiceApp, request_id_of
from services.kit.auth import TokenVerifier, authenticated
from services.kit.http import REQUEST_ID_HEADER
from services.kit.pagination import Page
from services.kit.problems import Problem
from services.profile.lookup.lookups import Lookups, UnknownNamespace

PATH = "/api/v1/profiles"
MAX_NAMESPACE, MAX_VALUE = 100, 1000
_REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
_JSON = (b"content-type", b"application/json")


class LookupDoor:
    """The lifespan's state holds ``lookups``."""

    def __init__(self, app: ASGIApp, verifier: TokenVerifier) -> None:
        self._app = app
        self._verifier = verifier

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = None
        if scope["path"] == PATH and scope["method"] == "GET":
            headers = dict(scope["headers"])
            body = await self._answer(scope, headers.get(b"authorization", b""))
        if body is None:
            await self._app(scope, receive, send)
            return
        answered = [
            _JSON,
            (b"content-length", b"%d" % len(body)),
            (_REQUEST_ID, request_id_of(headers).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": answered})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, authorization: bytes) -> bytes | None:
        """The page with the profile looked up, or without any; None where it is not for us."""
        asked = _asked(scope["query_string"])
        if asked is None:
            return None
        lookups: Lookups = scope["state"]["lookups"]
        try:
            caller = authenticated(self._verifier, authorization.decode("latin-1"))
            found = await lookups.find(caller.workspace_id, *asked)
        except (Problem, UnknownNamespace, DBAPIError, OSError):
            return None
        page = Page[Profile](items=[] if found is None else [found])
        return page.model_dump_json().encode()


def _asked(query: bytes) -> tuple[str, str] | None:
    """``namespace`` and ``value`` where these two are all that is asked, each once."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given = dict(pairs)
    if len(pairs) != 2 or given.keys() != {"namespace", "value"}:
        return None
    namespace, value = given["namespace"], given["value"]
    if len(namespace) > MAX_NAMESPACE or len(value) > MAX_VALUE:
        return None
    return namespace, value


def install(app: ServiceApp) -> None:
    app.put_in_front(lambda inner: LookupDoor(inner, app.state.token_verifier))
