"""Tracking as profile sees it, served over HTTP from memory: the log and queries about leaves.

What profile appends is judged by tracking's own code, which is pure.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from services import identifiers
from services.contracts.events import Event, EventType
from services.contracts.tracking import SaidAccepted
from services.kit import feeds
from services.kit.auth import TokenVerifier
from services.tracking.ingest import said
from services.tracking.ingest.accept import accept_batch
from services.tracking.ingest.convert import Origin
from tests.support.app import trusted_keys


@dataclass
class FakeTracking:
    """Append blocks to ``rows[partition]``; profile reads them as it would tracking's log."""

    rows: dict[str, list[feeds.FeedRow]] = field(default_factory=dict)
    leaf_answers: list[Response] = field(default_factory=list)
    leaf_queries: list[dict[str, object]] = field(default_factory=list)
    aggregate_answers: list[Response] = field(default_factory=list)
    aggregate_queries: list[dict[str, object]] = field(default_factory=list)
    bell: feeds.Bell = field(default_factory=feeds.Bell)
    verifier: TokenVerifier = field(
        default_factory=lambda: TokenVerifier("tracking", trusted_keys())
    )
    url: str = ""
    down: bool = False
    reads: int = 0
    held: bool = False
    """Events that profile appends are durable, but not in the log that is read yet."""
    waiting: list[tuple[UUID, list[Event]]] = field(default_factory=list)
    received_at: int = 1_900_000_000_000
    """The clock of tracking, which moves by one ms for each request."""
    more: list[APIRouter] = field(default_factory=list)
    """What else is served at this address."""
    read: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each reading of the log, of which ``reads`` counts how many there were."""

    def append(self, workspace_id: UUID, *events: Event) -> int:
        """One log row of these events; its offset."""
        partition = str(workspace_id)
        rows = self.rows.setdefault(partition, [])
        offset = len(rows) + 1
        rows.append(feeds.FeedRow(offset, len(events), 0, feeds.pack(list(events))))
        self.bell.ring(partition)
        return offset

    def release(self) -> None:
        """What was ``held`` back comes into the log."""
        self.held = False
        for workspace_id, events in self.waiting:
            self.append(workspace_id, *events)
        self.waiting.clear()

    def said(self, workspace_id: UUID, source_id: str, body: bytes) -> SaidAccepted:
        self.received_at += 1
        origin = Origin(workspace_id, source_id, self.received_at, server_key=True, by_contact=True)
        wanted = accept_batch(body, origin)
        if wanted.count:
            self.waiting.append((workspace_id, feeds.unpack(wanted.data, Event)))
        if not self.held:
            self.release()
        return said.answer(wanted)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def outage(request: Request, go_on: RequestResponseEndpoint) -> Response:
            return Response(status_code=503) if self.down else await go_on(request)

        for router in self.more:
            app.include_router(router)

        @app.get("/internal/v1/log/partitions")
        async def partitions() -> dict[str, list[str]]:
            return {"partitions": [*self.rows, *(f"{p}:outcomes" for p in self.rows)]}

        @app.get("/internal/v1/log")
        async def log(partition: str, after: int, limit: int, wait: float) -> Response:
            self.reads += 1
            self.read.set()
            self.read = asyncio.Event()
            rung = self.bell.listen(partition)
            if len(self.rows.get(partition, [])) <= after:
                with_timeout = asyncio.wait_for(rung.wait(), wait)
                await asyncio.gather(with_timeout, return_exceptions=True)
            rows = self.rows.get(partition, [])
            page = feeds.FeedPage(rows[after : after + limit], len(rows))
            return Response(feeds.encode_page(page), media_type=feeds.MEDIA_TYPE)

        @app.post("/internal/v1/events")
        async def append_said(request: Request, source_id: str) -> SaidAccepted:
            caller = self.verifier.verify(request.headers["authorization"].partition(" ")[2])
            return self.said(caller.workspace_id, source_id, await request.body())

        @app.post("/internal/v1/rules/query")
        async def leaves(request: Request) -> Response:
            self.leaf_queries.append(await request.json())
            return self.leaf_answers.pop(0) if self.leaf_answers else Response(status_code=503)

        @app.post("/internal/v1/aggregates/query")
        async def aggregates(request: Request) -> Response:
            self.aggregate_queries.append(await request.json())
            answers = self.aggregate_answers
            return answers.pop(0) if answers else Response(status_code=503)

        return app

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            config = uvicorn.Config(self.app(), lifespan="off", log_level="warning")
            config.timeout_graceful_shutdown = 1
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve(sockets=[listener]))
            try:
                yield
            finally:
                for partition in self.rows:
                    self.bell.ring(partition)
                server.should_exit = True
                await task


_numbers = iter(range(10**9))


def event(
    workspace_id: UUID,
    *named: tuple[str, str],
    name: str = "Page Viewed",
    type: EventType = "track",
    at: int = 1_700_000_000_000,
    message_id: str | None = None,
    traits: dict[str, object] | None = None,
    properties: dict[str, object] | None = None,
    context: dict[str, object] | None = None,
    group_id: str = "",
) -> Event:
    """A canonical event of whoever ``named`` (by falling priority) is; ``at`` in ms."""
    encode = msgspec.json.encode
    by_namespace = dict(named)
    return Event(
        message_id=message_id or f"m{next(_numbers)}",
        source_id="source",
        type=type,
        event=type if type in ("identify", "group") else name,
        subject_id=str(identifiers.subject_id(workspace_id, *named[0])),
        identifiers=list(named),
        user_id=by_namespace.get("user_id", ""),
        anonymous_id=by_namespace.get("anonymous_id", ""),
        occurred_at=at,
        original_at=at,
        received_at=at,
        group_id=group_id,
        traits=encode(traits or {}).decode(),
        properties=encode(properties or {}).decode(),
        context=encode(context or {}).decode(),
    )
