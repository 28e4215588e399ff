"""Plain ASGI in front of a service's app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.kit.app import ServiceApp, create_app
from services.kit.settings import ServiceSettings
from tests.support.app import running, signing_key, trusted_keys

pytestmark = pytest.mark.anyio


class Front:
    """Its own is what lies under ``/own``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/own/broken":
            raise RuntimeError("secret: 7")
        if not scope["path"].startswith("/own"):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def app() -> ServiceApp:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {}

    settings = ServiceSettings(
        signing_key=signing_key("tracking"), trusted_keys=trusted_keys(), log_level="CRITICAL"
    )
    made = create_app("test", settings, title="Test", description="", lifespan=lifespan, checks={})
    made.put_in_front(Front)
    return made


@pytest.fixture
async def client(app: ServiceApp) -> AsyncIterator[httpx2.AsyncClient]:
    async with running(app) as connected:
        yield connected


async def test_what_is_not_its_own_goes_on_to_the_app(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/own/thing")).status_code == 204
    assert (await client.get("/livez")).json() == {"status": "ok"}
    missing = await client.get("/elsewhere")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


async def test_an_unplanned_error_of_it_is_answered_like_every_other(
    client: httpx2.AsyncClient,
) -> None:
    response = await client.get("/own/broken")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret" not in response.text
