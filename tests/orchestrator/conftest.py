"""The orchestrator on a database of its own, its neighbours faked in HTTP, a mailbox, a clock."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from starlette.types import Receive, Scope, Send

from services.contracts.changes import Change
from services.kit.postgres import workspace_tx
from services.orchestrator import workers
from services.orchestrator.main import create_app
from services.orchestrator.receipts.recorder import Recorder
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.mailbox import Mailbox
from tests.orchestrator.neighbours import Neighbours
from tests.support.app import signing_key, trusted_keys, user_headers
from tests.support.postgres import Database, NewDatabase

START = 1_800_000_000_000


@dataclass
class FakeClock:
    now: int = START

    def __call__(self) -> int:
        return self.now

    def advance(self, *, seconds: float) -> None:
        self.now += int(1000 * seconds)


@pytest.fixture
def orchestrator_database(database: NewDatabase) -> Database:
    return database("orchestrator")


@pytest.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    fake = Neighbours()
    fake.ready(3, "warn")
    async with fake.serving():
        yield fake


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    async with box.serving():
        yield box


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def settings(database: Database, url: str, **more: Any) -> OrchestratorSettings:
    return OrchestratorSettings(
        postgres_dsn=SecretStr(database.app_dsn),
        signing_key=SecretStr(signing_key("orchestrator")),
        trusted_keys=trusted_keys(),
        tracking_ingest_url=url,
        tracking_store_url=url,
        profile_url=url,
        assessment_url=url,
        public_url="https://cx.example.org",
        link_key=SecretStr("a key of this test run"),
        **{"allow_private_webhooks": True, "replay_batch": 50, "wait_grace_seconds": 0, **more},
    )


@dataclass
class World:
    """One workspace: call the API, put changes into the feed, and step the engine by hand."""

    client: httpx2.AsyncClient
    neighbours: Neighbours
    mailbox: Mailbox
    clock: FakeClock
    engine: workers.Engine
    workspace: workers.Workspace
    recorder: Recorder
    serial: int = 0
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def workspace_id(self) -> UUID:
        return self.workspace.id

    def event(
        self, profile_id: UUID, name: str, at: int | None = None, **properties: Any
    ) -> Change:
        """An event as it stands in the feed; `at` in ms, now if not said."""
        self.serial += 1
        return Change(
            "event",
            str(profile_id),
            self.clock.now if at is None else at,
            {
                "message_id": f"m{self.serial}",
                "event": name,
                "type": "track",
                "subject_id": str(profile_id),
                "received_at": self.clock.now,
                "properties": msgspec.json.encode(properties).decode(),
                "context": "{}",
            },
        )

    def consent(self, profile_id: UUID, state: str = "granted") -> Change:
        data = {"purpose": "marketing", "state": state}
        return Change("consent.changed", str(profile_id), self.clock.now, data)

    def person(self, **facts: Any) -> UUID:
        """Somebody with an address and a granted consent."""
        profile_id = self.neighbours.person(**facts)
        self.feed(self.consent(profile_id))
        return profile_id

    def feed(self, *changes: Change) -> None:
        self.neighbours.append(self.workspace_id, *changes)

    async def follow(self) -> None:
        while await workers.follow_once(self.engine, self.workspace, 0):
            pass

    async def execute(self) -> None:
        while await workers.execute_once(self.engine, self.workspace):
            pass

    async def send(self) -> None:
        while await workers.send_once(self.engine, self.workspace):
            pass

    async def tell(self) -> None:
        while await workers.tell_once(self.engine, self.workspace):
            pass

    async def carry_out(self) -> None:
        while await workers.carry_out_once(self.engine, self.workspace):
            pass

    async def schedule(self) -> None:
        while await workers.schedule_once(self.engine, self.workspace):
            pass

    async def sweep(self) -> None:
        while await workers.sweep_once(self.engine, self.workspace):
            pass

    async def settle(self) -> None:
        """Everything that can happen now, in the order in which the loops wake each other."""
        await self.follow()
        await self.schedule()
        await self.sweep()
        await self.execute()
        await self.carry_out()
        await self.send()
        await self.tell()

    async def somebody_waits(self) -> None:
        """Returns once a transaction waits for what another holds."""
        statement = text(
            "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
            "WHERE NOT granted AND datname = current_database())"
        )
        async with asyncio.timeout(30):
            waits = False
            while not waits:
                async with workspace_tx(self.engine.maker, self.workspace_id) as session:
                    waits = bool(await session.scalar(statement))

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.client.get(f"/api/v1{path}", params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        response = await self.client.post(f"/api/v1{path}", json=body or {}, headers=headers)
        assert response.status_code in (200, 201, 202), response.text
        return response.json()

    async def email_channel(self, **more: Any) -> str:
        body = {
            "type": "email",
            "name": "Mailbox",
            "host": "127.0.0.1",
            "port": self.mailbox.port,
            "tls": "none",
            "from_address": "hello@example.com",
            **more,
        }
        return str((await self.post("/channels", body))["id"])

    async def template(self, **more: Any) -> str:
        body = {
            "name": "Reminder",
            "subject": "About {{ event.properties.offer_id }}",
            "text": "Hello {{ profile.traits.first_name | default: 'there' }}.",
            **more,
        }
        return str((await self.post("/message-templates", body))["id"])

    async def publish(self, graph: dict[str, Any]) -> str:
        """The id of a new, published journey."""
        journey = await self.post("/journeys", {"graph": graph})
        await self.post(f"/journeys/{journey['id']}/publish")
        return str(journey["id"])

    async def mail_graph(self, **more: Any) -> dict[str, Any]:
        """On `Viewed`: a mail, then out."""
        return {
            "name": "Mail",
            "entry": {
                "kind": "event",
                "event": "Viewed",
                "instance_key": ["offer_id"],
                "next": "mail",
            },
            "nodes": [
                {
                    "id": "mail",
                    "type": "message",
                    "channel_id": await self.email_channel(),
                    "template_id": await self.template(),
                    "next": "end",
                },
                {"id": "end", "type": "exit"},
            ],
            **more,
        }

    async def messages(self, **filters: Any) -> list[dict[str, Any]]:
        return list((await self.get("/messages", **filters))["items"])


@pytest.fixture
async def world(
    orchestrator_database: Database,
    neighbours: Neighbours,
    mailbox: Mailbox,
    clock: FakeClock,
) -> AsyncIterator[World]:
    app = create_app(settings(orchestrator_database, neighbours.url), clock=clock, background=False)
    workspace_id = uuid4()
    async with app.router.lifespan_context(app) as state:
        shared = dict(state or {})
        headers = user_headers("orchestrator", workspace_id)
        async with client_of(app, shared, headers) as client:
            engine = shared["workers"].engine
            workspace = workers.Workspace(workspace_id)
            recorder = shared["recorder"]
            yield World(client, neighbours, mailbox, clock, engine, workspace, recorder)


def client_of(app: FastAPI, state: dict[str, Any], headers: dict[str, str]) -> httpx2.AsyncClient:
    """A client of an app whose lifespan already runs."""

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = dict(state)
        await app(scope, receive, send)

    transport = httpx2.ASGITransport(with_state, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers)
