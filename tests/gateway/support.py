"""A gateway behind a real server, and services it believes to be Waymark's."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx2
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.settings import GatewaySettings
from services.kit.auth import Caller, TokenVerifier
from services.kit.server import Protocol
from tests.support.app import signing_key, trusted_keys

SERVICES = ("tracking-ingest", "tracking", "profile", "orchestrator", "assessment")


@dataclass
class Seen:
    """A request as it reached a service."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None

    def caller(self, audience: str) -> Caller:
        """Who the gateway says is calling."""
        token = (self.header("authorization") or "").removeprefix("Bearer ")
        return TokenVerifier(audience, trusted_keys()).verify(token)


Answer = Callable[[Scope, Receive, Send, Seen], Awaitable[None]]


async def answer_json(send: Send, status: int, body: object, *headers: tuple[bytes, bytes]) -> None:
    start = [(b"content-type", b"application/json"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def _success(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
    await answer_json(send, 200, {"success": True})


@dataclass
class FakeService:
    """Records whole requests and answers as told; ``/livez`` is always fine."""

    answer: Answer = _success
    seen: list[Seen] = field(default_factory=list)
    aborted: int = 0

    def reset(self) -> None:
        self.answer = _success
        self.seen.clear()
        self.aborted = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.aborted += 1
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/livez":
            await answer_json(send, 200, {"status": "ok"})
            return
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        headers = [(k.decode(), v.decode("latin-1")) for k, v in scope["headers"]]
        seen = Seen(scope["method"], target, headers, body)
        self.seen.append(seen)
        await self.answer(scope, receive, send, seen)


@asynccontextmanager
async def serving(app: ASGIApp, *, lifespan: bool = True) -> AsyncIterator[str]:
    """The base URL of ``app`` behind uvicorn, in this event loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
        http=Protocol,
        log_config=None,
        # Else whoever connects from this machine may say where it comes from.
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    # The socket listens already, so connections wait until the app has started.
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


def unused_url() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def settings(dsn: str, urls: dict[str, str], **others: Any) -> GatewaySettings:
    return GatewaySettings(
        postgres_dsn=dsn,
        signing_key=signing_key("gateway"),
        trusted_keys=trusted_keys(),
        tracking_ingest_url=urls["tracking-ingest"],
        tracking_store_url=urls["tracking"],
        profile_url=urls["profile"],
        orchestrator_url=urls["orchestrator"],
        assessment_url=urls["assessment"],
        log_level="WARNING",
        **others,
    )


@dataclass
class Platform:
    """A gateway with one workspace in it and the services behind it."""

    url: str
    client: httpx2.AsyncClient
    services: dict[str, FakeService]
    workspace_id: UUID
    source_id: str
    write_key: str
    secret_key: str

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret_key}"}

    @property
    def ingest(self) -> FakeService:
        return self.services["tracking-ingest"]

    async def post(self, path: str, **kwargs: object) -> httpx2.Response:
        """As an SDK: the write key as Basic user, unless ``auth`` or ``headers`` say otherwise."""
        if "headers" not in kwargs:
            kwargs.setdefault("auth", (self.write_key, ""))
        return await self.client.post(path, **kwargs)  # type: ignore[arg-type]
