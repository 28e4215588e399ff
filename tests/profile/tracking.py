"""Profile's neighbours as it sees them, served over HTTP from memory: tracking's log, what it
counts and what it is told, and the orchestrator's send gate.

What profile appends is judged by tracking's own code, which is pure.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pyarrow as pa
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from services import identifiers
from services.contracts.events import Event, EventType
from services.contracts.identity import IdentityPolicy
from services.contracts.orchestrator import GateClosing, Withdrawal
from services.contracts.tracking import SaidAccepted
from services.kit import feeds
from services.kit.auth import TokenVerifier
from services.rules import EMPTY, aggregates, filter_of, leaf_of, update
from services.tracking.ingest import said
from services.tracking.ingest.accept import accept_batch
from services.tracking.ingest.convert import Origin
from tests.support.app import trusted_keys

_PAIRS = pa.list_(pa.struct([("1", pa.int64()), ("2", pa.uint64())]))
LEAVES = pa.schema(
    [
        ("leaf_id", pa.string()),
        ("profile_id", pa.string()),
        ("total", pa.int64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("recent", pa.list_(pa.int64())),
        ("buckets", _PAIRS),
    ]
)
STATES = pa.schema([(name, pa.string()) for name in ("aggregate_id", "profile_id", "state")])


@dataclass
class FakeTracking:
    """Append blocks to ``rows[partition]``; profile reads them as it would tracking's log."""

    rows: dict[str, list[feeds.FeedRow]] = field(default_factory=dict)
    leaf_answers: list[Response] = field(default_factory=list)
    leaf_queries: list[dict[str, Any]] = field(default_factory=list)
    counts: bool = False
    """Leaves are counted in the rows as ClickHouse would, once no prepared answer is left."""
    aggregate_answers: list[Response] = field(default_factory=list)
    aggregate_queries: list[dict[str, Any]] = field(default_factory=list)
    bell: feeds.Bell = field(default_factory=feeds.Bell)
    verifier: TokenVerifier = field(
        default_factory=lambda: TokenVerifier("tracking", trusted_keys())
    )
    policies: list[IdentityPolicy] = field(default_factory=list)
    """What it was told of identity, of whichever workspace."""
    url: str = ""
    down: bool = False
    gate_down: bool = False
    log_down: bool = False
    """Only for what profile says."""
    said: int = 0
    """How often it said something."""
    withdrawals: list[tuple[int, Withdrawal]] = field(default_factory=list)
    """What the orchestrator's gate was told, and how often profile had said something before."""
    loaded: int | None = None
    """The last row that ClickHouse holds; None: it holds all of them."""
    reads: int = 0
    held: bool = False
    """Events that profile appends are durable, but not in the log that is read yet."""
    waiting: list[tuple[UUID, list[Event]]] = field(default_factory=list)
    received_at: int = 1_900_000_000_000
    """The clock of tracking, which moves by one ms for each request: after all that the tests'
    clocks show, so that times stay."""
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

    def say(self, workspace_id: UUID, source_id: str, whole: bool, body: bytes) -> SaidAccepted:
        self.said += 1
        self.received_at += 1
        policy = identifiers.Policy(self.policies[-1]) if self.policies else identifiers.BUILT_IN
        origin = Origin(
            *(workspace_id, source_id, self.received_at),
            server_key=True,
            by_contact=True,
            policy=policy,
        )
        wanted = accept_batch(body, origin)
        if said.counts(wanted, whole):
            self.waiting.append((workspace_id, feeds.unpack(wanted.data, Event)))
        if not self.held:
            self.release()
        offset = len(self.rows.get(str(workspace_id), ())) + len(self.waiting)
        return said.answer(wanted, whole, offset)

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

        @app.post("/internal/v1/events")
        async def append_said(request: Request, source_id: str, whole: bool = False) -> Any:
            if self.log_down:
                return Response(status_code=503)
            caller = self.verifier.verify(request.headers["authorization"].partition(" ")[2])
            return self.say(caller.workspace_id, source_id, whole, await request.body())

        self._answers(app)
        self._listens(app)
        for router in self.more:
            app.include_router(router)
        return app

    def _answers(self, app: FastAPI) -> None:
        @app.post("/internal/v1/rules/query")
        async def leaves(request: Request) -> Response:
            self.leaf_queries.append(await request.json())
            if self.loaded is not None and self.loaded < self.leaf_queries[-1].get(
                "max_log_offset", 0
            ):
                return Response(status_code=503)
            if self.leaf_answers:
                return self.leaf_answers.pop(0)
            return (
                self._counted(self.leaf_queries[-1]) if self.counts else Response(status_code=503)
            )

        @app.post("/internal/v1/aggregates/query")
        async def aggregates(request: Request) -> Response:
            self.aggregate_queries.append(await request.json())
            return self._added_up(self.aggregate_queries[-1])

    def _listens(self, app: FastAPI) -> None:
        @app.put("/internal/v1/identity-policy")
        async def policy(told: IdentityPolicy) -> dict[str, int]:
            self.policies.append(told)
            return {"version": max(each.version for each in self.policies)}

        @app.post("/internal/v1/gate/withdrawals")
        async def gate(body: GateClosing) -> Response:
            """The orchestrator's."""
            if self.gate_down:
                return Response(status_code=503)
            self.withdrawals += [(self.said, withdrawal) for withdrawal in body.withdrawals]
            return Response(status_code=204)

    def _added_up(self, query: dict[str, Any]) -> Response:
        """The same of what computed traits remember, each subject by itself."""
        if self.aggregate_answers:
            return self.aggregate_answers.pop(0)
        if not self.counts:
            return Response(status_code=503)
        last = query["max_log_offset"]
        past = [e for rows in self.rows.values() for r in rows[:last] for e in r.entries(Event)]
        return packed(STATES, state_rows(query, past))

    def _counted(self, query: dict[str, Any]) -> Response:
        """Of all rows of all workspaces, as a test has one; subjects stand for themselves."""
        last = query.get("max_log_offset")
        past = [e for rows in self.rows.values() for r in rows[:last] for e in r.entries(Event)]
        return arrow(leaf_rows(query, past))

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


def leaf_rows(query: dict[str, Any], past: list[Event]) -> list[dict[str, Any]]:
    """What a ``LeafQuery`` is answered with, counted by the rule library itself."""
    owner_of = {s: p for p, own in (query.get("subjects") or {}).items() for s in own}
    found = []
    for leaf_id, node in query["leaves"].items():
        leaf = leaf_of(node)
        matches = filter_of(leaf.where)
        times: dict[str, list[int]] = {}
        for each in past:
            owner = owner_of.get(each.subject_id)
            if query.get("subjects") is None:
                owner = each.subject_id
            properties = msgspec.json.decode(each.properties)
            if owner is not None and each.event == leaf.event and matches(properties, {}):
                times.setdefault(owner, []).append(each.occurred_at)
        for owner, at in times.items():
            parts = update(EMPTY, leaf, at)._asdict()
            buckets = [{"1": index, "2": count} for index, count in parts.pop("buckets")]
            found.append({"leaf_id": leaf_id, "profile_id": owner, **parts, "buckets": buckets})
    return found


def state_rows(query: dict[str, Any], past: list[Event]) -> list[dict[str, Any]]:
    """What an ``AggregateQuery`` is answered with, counted by the rule library itself."""
    found = []
    for aggregate_id, definition in query["aggregates"].items():
        aggregate = aggregates.aggregate_of(definition)
        samples: dict[str, list[Any]] = {}
        for each in past:
            asked = query.get("subject_ids") is None or each.subject_id in query["subject_ids"]
            if asked and each.event == aggregate.leaf.event:
                sample = aggregate.sample(msgspec.json.decode(each.properties), each.occurred_at)
                samples.setdefault(each.subject_id, []).append(sample)
        for subject_id, own in samples.items():
            state = aggregates.update(aggregates.EMPTY, aggregate, own)
            text = aggregates.to_json(state, aggregate)
            found.append({"aggregate_id": aggregate_id, "profile_id": subject_id, "state": text})
    return found


def arrow(rows: list[dict[str, Any]]) -> Response:
    return packed(LEAVES, rows)


def packed(schema: pa.Schema, rows: list[dict[str, Any]]) -> Response:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, schema=schema)
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table)
    return Response(sink.getvalue().to_pybytes())


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
