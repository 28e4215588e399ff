"""The gateway in front of tracking's ``ingest`` role, in this process, without a client library.

A client library would refuse to send half of what a corpus holds.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Message

from gateway.bootstrap import bootstrap
from gateway.main import create_app as create_gateway
from services.tracking.main import create_app as create_tracking
from tests.gateway.support import serving, settings
from tests.malformed.corpus import Case
from tests.support.postgres import NewDatabase
from tests.tracking.service import Tracking


@dataclass
class Door:
    """``tracking`` looks into what was stored; ``keys`` are the gateway's credentials."""

    app: ASGIApp
    state: dict[str, Any]
    tracking: Tracking
    keys: dict[str, str]

    async def ask(self, case: Case) -> int:
        """The status of the answer."""
        path = case.path.encode()
        messages: list[Message] = [{"type": "http.request", "body": case.body, "more_body": False}]
        status: list[int] = []

        async def receive() -> Message:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        headers = [(b"host", b"waymark"), *case.headers]
        headers.append((b"x-write-key", self.keys["write_key"].encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": case.method,
            "scheme": "http",
            "path": case.path,
            "raw_path": path,
            "root_path": "",
            "query_string": case.query,
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": dict(self.state),
        }
        await self.app(scope, receive, send)
        assert len(status) == 1, case.name
        return status[0]


@asynccontextmanager
async def standing(database: NewDatabase) -> AsyncIterator[Door]:
    """Both processes' apps; of the platform's other services nobody listens."""
    async with AsyncExitStack() as stack:
        keys = await bootstrap((gateway_database := database("gateway")).app_dsn, "Malformed")
        tracking = Tracking(database("tracking"), "", workspace_id=UUID(keys["workspace_id"]))
        ingest = create_tracking(tracking.settings("ingest"))
        url = await stack.enter_async_context(serving(ingest))
        names = ("tracking-ingest", "tracking", "profile", "orchestrator", "assessment")
        app = create_gateway(settings(gateway_database.app_dsn, dict.fromkeys(names, url)))
        state = await stack.enter_async_context(app.router.lifespan_context(app))
        yield Door(app, dict(state or {}), tracking, keys)
