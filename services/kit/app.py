"""How every service's HTTP app is made: problems, request ids, health, metrics, strict JSON."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from random import getrandbits
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.exc import SQLAlchemyError
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import logging
from services.kit.auth import TokenVerifier
from services.kit.http import REQUEST_ID_HEADER
from services.kit.problems import Problem, ProblemBody, add_problem_handlers, on_crash
from services.kit.settings import ServiceSettings
from services.kit.strict import StrictRoute

Check = Callable[[Request], Awaitable[None]]
"""Raises a ``Problem``, a database error or an OS error when a dependency is not usable."""

CHECK_SECONDS = 3.0
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_REQUEST_ID_NAME = REQUEST_ID_HEADER.lower().encode()


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The caller's id of the request, else a new one."""
    given = headers.get(_REQUEST_ID_NAME, b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    # Nobody gains by guessing one, and the system's random source costs as much as an event.
    return f"{getrandbits(128):032x}"


class RequestIdMiddleware:
    """Takes the caller's request id or makes one; binds it to the logs; answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(dict(scope["headers"]))
        structlog.contextvars.bind_contextvars(request_id=request_id)
        own = (_REQUEST_ID_NAME, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), own]
            await send(message)

        await self._app(scope, receive, send_with_id)


class ServiceApp(FastAPI):
    """FastAPI with room for plain ASGI in front of its own machinery."""

    _front: ASGIApp | None = None

    def put_in_front(self, make: Callable[[ASGIApp], ASGIApp]) -> None:
        """``make(app)`` gets every HTTP request first and hands on to ``app`` what is not its own.

        What it fails with is answered like every other unplanned error.
        """
        self._front = ServerErrorMiddleware(make(super().__call__), on_crash)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        front = self._front if scope["type"] == "http" else None
        await (front or super().__call__)(scope, receive, send)


def create_app(
    service: str,
    settings: ServiceSettings,
    *,
    title: str,
    description: str,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[Any]],
    checks: dict[str, Check],
    optional: dict[str, Check] | None = None,
    openapi_url: str | None = "/openapi.json",
) -> ServiceApp:
    """An app named ``service`` (also the audience of its tokens).

    ``checks`` are run by ``/readyz``; a failing one makes it 503 with the reason beside its name.
    A failing ``optional`` one is named too, but the service stays ready without it.
    """
    logging.configure(service, settings.log_level)
    app = ServiceApp(
        title=title,
        description=description,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=openapi_url,
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = StrictRoute
    app.state.token_verifier = TokenVerifier(service, settings.trusted_keys)
    app.add_middleware(RequestIdMiddleware)
    add_problem_handlers(app)
    app.include_router(_health(checks, optional or {}))
    _register_problem_schema(app)
    return app


def _health(checks: dict[str, Check], optional: dict[str, Check]) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz(request: Request) -> JSONResponse:
        every = {**checks, **optional}
        states = await asyncio.gather(*(_state(check, request) for check in every.values()))
        reasons = dict(zip(every, states, strict=True))
        ready = all(reasons[name] == "ok" for name in checks)
        whole = all(reason == "ok" for reason in reasons.values())
        status = ("ready" if whole else "degraded") if ready else "not ready"
        return JSONResponse({"status": status, "checks": reasons}, 200 if ready else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _state(check: Check, request: Request) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check(request)
    except (Problem, SQLAlchemyError, OSError, TimeoutError) as error:
        return f"not answering ({type(error).__name__})"
    return "ok"


def _register_problem_schema(app: FastAPI) -> None:
    """``problem_responses`` refers to this component; FastAPI adds only what routes name."""
    original = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "ProblemBody" not in schemas:
            schema = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["ProblemBody"] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]
