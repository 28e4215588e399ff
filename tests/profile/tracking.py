"""Profile's neighbours as it sees them, served over HTTP from memory: tracking's log and queries
about leaves, the orchestrator's send gate."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from services import identifiers
from services.contracts.events import Event, EventType
from services.contracts.orchestrator import GateClosing, Withdrawal
from services.contracts.tracking import StatementsAccepted
from services.kit import feeds
from services.kit.auth import TokenVerifier
from services.tracking.ingest.accept import accept_batch
from services.tracking.ingest.convert import Origin
from services.tracking.ingest.statements import SOURCE
from tests.support.app import trusted_keys

RECEIVED_MS = 1_900_000_000_000
"""When statements are received: after all that the tests' clocks show, so that times stay."""


@dataclass
class FakeTracking:
    """Append blocks to ``rows[partition]``; profile reads them as it would tracking's log."""

    rows: dict[str, list[feeds.FeedRow]] = field(default_factory=dict)
    leaf_answers: list[Response] = field(default_factory=list)
    leaf_queries: list[dict[str, object]] = field(default_factory=list)
    bell: feeds.Bell = field(default_factory=feeds.Bell)
    url: str = ""
    down: bool = False
    gate_down: bool = False
    log_down: bool = False
    """Only for statements."""
    said: int = 0
    """How many statements came."""
    withdrawals: list[tuple[int, Withdrawal]] = field(default_factory=list)
    """What the orchestrator's gate was told, and how many statements had come before."""
    verifier: TokenVerifier = field(
        default_factory=lambda: TokenVerifier("tracking", trusted_keys())
    )
    reads: int = 0
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

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def outage(request: Request, go_on: RequestResponseEndpoint) -> Response:
            return Response(status_code=503) if self.down else await go_on(request)

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

        @app.post("/internal/v1/rules/query")
        async def leaves(request: Request) -> Response:
            self.leaf_queries.append(await request.json())
            return self.leaf_answers.pop(0) if self.leaf_answers else Response(status_code=503)

        @app.post("/internal/v1/statements")
        async def statements(request: Request) -> Any:
            if self.log_down:
                return Response(status_code=503)
            workspace_id = self.verifier.verify(
                request.headers["authorization"].removeprefix("Bearer ")
            ).workspace_id
            origin = Origin(workspace_id, SOURCE, RECEIVED_MS)
            appended = accept_batch(await request.body(), origin)
            assert not appended.quarantined
            offset = self.append(workspace_id, *feeds.unpack(appended.data, Event))
            self.said += 1
            return StatementsAccepted(accepted=appended.count, offset=offset)

        @app.post("/internal/v1/gate/withdrawals")
        async def gate(body: GateClosing) -> Response:
            """The orchestrator's."""
            if self.gate_down:
                return Response(status_code=503)
            self.withdrawals += [(self.said, withdrawal) for withdrawal in body.withdrawals]
            return Response(status_code=204)

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
) -> Event:
    """A canonical event of whoever ``named`` (by falling priority) is; ``at`` in ms."""
    encode = msgspec.json.encode
    by_namespace = dict(named)
    return Event(
        message_id=message_id or f"m{next(_numbers)}",
        source_id="source",
        type=type,
        event="identify" if type == "identify" else name,
        subject_id=str(identifiers.subject_id(workspace_id, *named[0])),
        identifiers=list(named),
        user_id=by_namespace.get("user_id", ""),
        anonymous_id=by_namespace.get("anonymous_id", ""),
        occurred_at=at,
        original_at=at,
        received_at=at,
        traits=encode(traits or {}).decode(),
        properties=encode(properties or {}).decode(),
        context=encode(context or {}).decode(),
    )
