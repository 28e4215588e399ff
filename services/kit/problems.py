"""RFC 9457 problem details: one exception base, one set of handlers, one OpenAPI helper."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

log = structlog.get_logger(__name__)


class Problem(Exception):
    """A failure the caller can act on. Subclass it per failure; never raise it bare.

    ``members`` become extension members of the answer; ``headers`` its headers.
    """

    type: ClassVar[str] = "about:blank"
    title: ClassVar[str]
    status: ClassVar[HTTPStatus]

    def __init__(
        self, detail: str, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers
        self.members = members


class FieldError(BaseModel):
    pointer: str = Field(description="JSON pointer to the field", examples=["#/traits/email"])
    detail: str = Field(description="What is wrong and what would be accepted")


class ProblemBody(BaseModel):
    """The wire form, for OpenAPI."""

    type: str = Field(examples=["/problems/invalid-request"])
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldError] | None = None


class InvalidRequest(Problem):
    """The body or a parameter is not acceptable; ``errors`` names the fields."""

    type = "/problems/invalid-request"
    title = "The request is not valid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidRequest":
        """One wrong field: ``InvalidRequest.at("#/rule/0/field", "...")``."""
        return cls(detail, errors=[{"pointer": pointer, "detail": detail}])


class MalformedBody(Problem):
    type = "/problems/malformed-body"
    title = "The body is not strict JSON"
    status = HTTPStatus.BAD_REQUEST


class BodyTooLarge(Problem):
    type = "/problems/body-too-large"
    title = "The body is too large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class MethodNotAllowed(Problem):
    type = "/problems/method-not-allowed"
    title = "The method is not allowed here"
    status = HTTPStatus.METHOD_NOT_ALLOWED


class Unavailable(Problem):
    """Something this service needs is down; trying again later helps."""

    type = "/problems/unavailable"
    title = "Temporarily unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, *, retry_after_seconds: int = 2) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_seconds)})


def problem_responses(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """Document what a route can answer: ``responses=problem_responses(ProfileNotFound)``."""
    docs: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        doc = docs.setdefault(
            int(problem.status),
            {
                "description": "",
                "content": {
                    "application/problem+json": {
                        "schema": {"$ref": "#/components/schemas/ProblemBody"}
                    }
                },
            },
        )
        doc["description"] = ", ".join(filter(None, [doc["description"], problem.title]))
    return docs


def render(
    request: Request,
    *,
    type: str,
    title: str,
    status: int,
    detail: str,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    body = {"type": type, "title": title, "status": status, "detail": detail}
    body |= {"instance": request.url.path, **members}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def refusal(request: Request, problem: Problem) -> JSONResponse:
    """A problem as ingestion answers it, with ``code`` and ``message`` beside its members: SDKs
    that miss these two try again for ever."""
    return render(
        request,
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        headers=problem.headers,
        code=problem.type.rpartition("/")[2].replace("-", "_"),
        message=problem.detail,
        **problem.members,
    )


async def _on_problem(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, Problem)
    return render(
        request,
        type=exc.type,
        title=exc.title,
        status=exc.status,
        detail=exc.detail,
        headers=exc.headers,
        **exc.members,
    )


async def _on_invalid(request: Request, exc: Exception) -> JSONResponse:
    # `input` and `ctx` of the errors may hold what JSON cannot encode (NaN, lone surrogates) or
    # what should not be echoed: only place and message go out.
    assert isinstance(exc, RequestValidationError)
    errors = [{"pointer": _pointer(e, exc.body), "detail": _said(e, exc)} for e in exc.errors()]
    return render(
        request,
        type=InvalidRequest.type,
        title=InvalidRequest.title,
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        detail="; ".join(f"{e['pointer']}: {e['detail']}" for e in errors[:3]),
        errors=errors,
    )


async def _on_http(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, HTTPException)
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method} is not accepted here."
        return await _on_problem(request, MethodNotAllowed(detail, headers=_copied(exc)))
    title = HTTPStatus(exc.status_code).phrase
    unrouted = exc.status_code == HTTPStatus.NOT_FOUND and exc.detail == title
    return render(
        request,
        type="about:blank",
        title=title,
        status=exc.status_code,
        detail="There is nothing at this path." if unrouted else str(exc.detail),
        headers=_copied(exc),
    )


def _copied(exc: HTTPException) -> dict[str, str] | None:
    return dict(exc.headers) if exc.headers else None


# SQLSTATEs that blame the server and not the statement: no connection, out of connections, memory
# or disk, started or stopped just now, a file it cannot read. The driver has no class for them.
_OUTAGES = ("08", "53", "57P", "58")


def _is_outage(error: DBAPIError) -> bool:
    """Whether the database is away, full or on its way up or down: trying again later helps."""
    return (
        error.connection_invalidated
        or isinstance(error, InterfaceError | OperationalError)
        or str(getattr(error.orig, "sqlstate", "")).startswith(_OUTAGES)
    )


async def _on_database(request: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, DBAPIError)
    if _is_outage(exc):
        log.warning("database_unavailable", error=type(exc.orig).__name__)
        return await _on_problem(request, Unavailable("The database does not answer."))
    return await on_crash(request, exc)


async def _on_client_gone(request: Request, exc: Exception) -> Response:
    """Nobody is there to be answered; it is the client's business and no error of ours."""
    log.info("client_gone", path=request.url.path)
    return Response(status_code=HTTPStatus.BAD_REQUEST)


async def _on_refused(request: Request, exc: Exception) -> JSONResponse:
    log.warning("connection_failed", error=type(exc).__name__)
    return await _on_problem(request, Unavailable("A store or service does not answer."))


async def on_crash(request: Request, exc: Exception) -> JSONResponse:
    # The message of an unplanned error may hold secrets or SQL: never send it out.
    log.error("unhandled_error", path=request.url.path, exc_info=exc)
    return render(
        request,
        type="about:blank",
        title="Internal Server Error",
        status=HTTPStatus.INTERNAL_SERVER_ERROR,
        detail="An unexpected error happened. Quote the request id when you report it.",
    )


def _pointer(error: Mapping[str, Any], body: Any) -> str:
    """Where the error is. Names of union members, which pydantic puts between, are in no body."""
    place, *rest = error["loc"]
    if place != "body":
        return "#/" + "/".join(str(part) for part in error["loc"])
    kept: list[str] = []
    here = body
    for index, part in enumerate(rest):
        last = index == len(rest) - 1
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        # A member may be named like a key; nothing lies below a plain value, so it was the member.
        if inside and (last or isinstance(here[part], dict | list)):
            here = here[part]
        elif error["type"] != "missing" or not last:
            continue
        kept.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "/".join(["#", *kept])


def _said(error: Mapping[str, Any], exc: RequestValidationError) -> str:
    if error["loc"] == ("body",) and isinstance(exc.body, bytes):
        # FastAPI decodes no body that does not say what it is.
        return "Send JSON with the header Content-Type: application/json."
    return str(error["msg"]).removeprefix("Value error, ")


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DBAPIError, _on_database)
    app.add_exception_handler(ClientDisconnect, _on_client_gone)
    app.add_exception_handler(ConnectionError, _on_refused)
    app.add_exception_handler(TimeoutError, _on_refused)
    app.add_exception_handler(Exception, on_crash)
