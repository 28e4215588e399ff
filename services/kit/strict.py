"""Strict requests: what FastAPI lets through of a body though no store can hold it is a 400, and
what it overlooks in a query a 422."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from services.kit.auth import authenticate
from services.kit.problems import BodyTooLarge, InvalidRequest, MalformedBody, Problem

MAX_BODY_BYTES = 1_048_576
MAX_DEPTH = 64
MIN_INT, MAX_INT = -(2**63), 2**64 - 1


def decode(body: bytes) -> Any:
    """JSON text → Python value.

    Refuses (``MalformedBody``) invalid UTF-8, NaN and infinities, lone surrogates, U+0000 (which
    PostgreSQL cannot store), integers beyond 64 bits (which feeds cannot hold) and deeper nesting
    than ``MAX_DEPTH``.
    """
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise MalformedBody(f"The body is not strict JSON in UTF-8: {reason}") from error
    _check(value)
    return value


def _check(value: Any) -> None:
    stack: list[tuple[Any, int, str]] = [(value, 0, "#")]
    while stack:
        item, depth, pointer = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise MalformedBody(f"{pointer}: the character U+0000 is not accepted")
        elif isinstance(item, int):
            if not MIN_INT <= item <= MAX_INT:
                raise MalformedBody(f"{pointer}: integers beyond 64 bits are not accepted")
        elif isinstance(item, dict | list):
            if depth >= MAX_DEPTH:
                raise MalformedBody(f"The body is nested deeper than {MAX_DEPTH} levels")
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            for key, inner in pairs:
                if isinstance(key, str) and "\x00" in key:
                    raise MalformedBody(f"{pointer}: the character U+0000 is not accepted")
                stack.append((inner, depth + 1, f"{pointer}/{key}"))


class StrictRequest(Request):
    """A request whose ``json()`` is strict and bounded."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            chunks: list[bytes] = []
            size = 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise BodyTooLarge(f"At most {MAX_BODY_BYTES} bytes are accepted here.")
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = decode(await self.body())
        return self._json


# SDKs and mail programs add parameters of their own to the paths they know.
_ANSWERS_FOR_ITS_PARAMETERS = ("/api/", "/internal/")


class StrictRoute(APIRoute):
    """Routes of every router: ``APIRouter(route_class=StrictRoute)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        known = frozenset(_parameters(self.dependant))
        checks = self.path.startswith(_ANSWERS_FOR_ITS_PARAMETERS)

        async def strict(request: Request) -> Response:
            if checks and request.scope["query_string"]:
                _refuse_unknown(request, known)
            try:
                return await handler(StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                # FastAPI turns whatever reading the body raises into a bare 400 of its own.
                if isinstance(error.__cause__, Problem):
                    raise error.__cause__ from None
                raise

        return strict


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for each in dependant.dependencies:
        yield from _parameters(each)


def _refuse_unknown(request: Request, known: frozenset[str]) -> None:
    """A filter with a slip in its name would be no filter at all."""
    for name in request.query_params:
        if name not in known:
            # Strangers are told that they are, and nothing else.
            authenticate(request)
            accepted = f"One of {', '.join(sorted(known))}" if known else "No parameter"
            raise InvalidRequest.at(f"#/query/{name[:100]}", f"{accepted} is accepted here.")
