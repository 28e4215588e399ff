"""The profile service on a database of its own, beside a tracking service that is faked in HTTP."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from services.contracts.changes import Change
from services.contracts.events import Event
from services.kit import feeds
from services.profile.main import create_app
from services.profile.settings import ProfileSettings
from tests.profile.clock import FakeClock
from tests.profile.tracking import FakeTracking, event
from tests.support.app import (
    running,
    service_headers,
    signing_key,
    trusted_keys,
    user_headers,
)
from tests.support.postgres import Database, NewDatabase


@pytest.fixture
def profile_database(database: NewDatabase) -> Database:
    return database("profile")


@pytest.fixture
async def tracking() -> AsyncIterator[FakeTracking]:
    fake = FakeTracking()
    async with fake.serving():
        yield fake


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def profile_app(profile_database: Database, tracking: FakeTracking, clock: FakeClock) -> FastAPI:
    return create_app(settings(profile_database, tracking), clock)


def settings(database: Database, tracking: FakeTracking) -> ProfileSettings:
    return ProfileSettings(
        postgres_dsn=SecretStr(database.app_dsn),
        signing_key=SecretStr(signing_key("profile")),
        trusted_keys=trusted_keys(),
        tracking_store_url=tracking.url,
        tracking_ingest_url=tracking.url,
        orchestrator_url=tracking.url,
        link_key=SecretStr("a key of this test run"),
        erasure_key=SecretStr("a key of this test run"),
        erasure_rest_minutes=0,
        discovery_seconds=0.02,
        log_level="WARNING",
    )


@dataclass
class World:
    """A workspace: post events to its log, call the API as its user, read its change feed."""

    client: httpx2.AsyncClient
    tracking: FakeTracking
    workspace_id: UUID
    clock: FakeClock = field(default_factory=FakeClock)
    seen: list[Change] = field(default_factory=list)
    offset: int = 0

    @property
    def user(self) -> dict[str, str]:
        return user_headers("profile", self.workspace_id)

    @property
    def service(self) -> dict[str, str]:
        return service_headers("orchestrator", "profile", self.workspace_id)

    def event(self, *named: tuple[str, str], **rest: Any) -> Event:
        return event(self.workspace_id, *named, **rest)

    async def post(self, *events: Event) -> list[Change]:
        """Append one block and wait until the feed tells of its last event; the new changes."""
        self.tracking.append(self.workspace_id, *events)
        return await self.until(
            lambda c: c.type == "event" and c.data["message_id"] == events[-1].message_id
        )

    async def until(self, wanted: Any) -> list[Change]:
        """Read the feed until a change is ``wanted``; everything new up to the end of its row."""
        new: list[Change] = []
        for _ in range(50):
            for row in await self.feed():
                self.offset = row.offset
                new += row.entries(Change)
            if any(wanted(change) for change in new):
                self.seen += new
                return new
        raise AssertionError(f"the feed never told of it, only of {new}")

    async def feed(self, wait: float = 0.5) -> list[feeds.FeedRow]:
        answer = await self.client.get(
            "/internal/v1/feed",
            params={"partition": str(self.workspace_id), "after": self.offset, "wait": wait},
            headers=self.service,
        )
        assert answer.status_code == 200, answer.text
        return feeds.decode_page(answer.content).rows

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.client.get(f"/api/v1{path}", params=params, headers=self.user)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ready(self, path: str, key: str = "state") -> Any:
        """Read a rule, segment or stage model until the background has brought it up to date."""
        async with asyncio.timeout(10):
            while True:
                answer = (await self.call("GET", path)).json()
                if answer[key] == "ready":
                    return answer
                await self.feed(wait=0.02)

    async def call(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """As the workspace's user below /api, as another service below /internal."""
        headers = self.user if path.startswith("/api") else self.service
        return await self.client.request(method, path, json=body, headers=headers)


@pytest.fixture
async def world(
    profile_app: FastAPI, tracking: FakeTracking, clock: FakeClock
) -> AsyncIterator[World]:
    async with running(profile_app) as client:
        yield World(client, tracking, uuid4(), clock)
