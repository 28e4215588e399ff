"""The real Segment SDK for Python against tracking on a socket, behind a stand-in gateway."""

import asyncio
import base64
from datetime import UTC, datetime

import pytest
from segment.analytics.client import Client
from starlette.types import ASGIApp, Receive, Scope, Send

from services.tracking.main import create_app
from tests.support.app import user_headers
from tests.tracking.service import Running, Tracking
from tests.tracking.sockets import serving

pytestmark = pytest.mark.anyio


class Door:
    """Exchanges the SDK's Basic key for an internal token, as the gateway does. The first
    ``refusals`` requests are answered with 503, as under overload."""

    def __init__(self, app: ASGIApp, tracking: Tracking, refusals: int) -> None:
        self._app = app
        self._tracking = tracking
        self._refusals = refusals
        self.answers: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"])[b"authorization"]
            assert given == b"Basic " + base64.b64encode(b"WRITEKEY:")
            token = user_headers(
                "tracking", self._tracking.workspace_id, scopes=("ingest",), source_id="py"
            )["Authorization"]
            scope["headers"] = [h for h in scope["headers"] if h[0] != b"authorization"]
            scope["headers"].append((b"authorization", token.encode()))
            if len(self.answers) < self._refusals:
                self.answers.append(503)
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
            self.answers.append(200)
        await self._app(scope, receive, send)


def use(url: str, gzip: bool) -> list[Exception]:
    """What a partner's code does with the SDK; the errors it was told."""
    errors: list[Exception] = []
    client = Client("WRITEKEY", host=url, gzip=gzip, on_error=lambda error, _: errors.append(error))
    client.identify("u1", {"email": "a@b.cd", "name": "Ann"})
    client.track("u1", "Order Completed", {"revenue": 12.5}, message_id="mid-1")
    client.track(None, "Viewed", {"k": 1}, anonymous_id="an1")
    client.track("u1", "Old", timestamp=datetime(2020, 1, 1, tzinfo=UTC))
    client.page("u1", "Docs", "Home", {"url": "http://x/"})
    client.screen("u1", "Cat", "Main")
    client.group("u1", "g1", {"name": "Acme"})
    client.alias("an1", "u1")
    client.flush()
    client.join()
    return errors


@pytest.mark.parametrize("gzip", [False, True])
@pytest.mark.parametrize("refusals", [0, 1])
async def test_every_call_of_the_sdk_arrives_once(
    tracking: Tracking, gzip: bool, refusals: int
) -> None:
    door = Door(create_app(tracking.settings("ingest")), tracking, refusals)
    async with serving(door) as url, tracking.store() as store:
        assert await asyncio.to_thread(use, url, gzip) == []
        await Running(store, store, tracking).loaded(8)
    assert door.answers.count(503) == refusals
    rows = await tracking.clickhouse("type, event, user_id, anonymous_id", "ORDER BY type, event")
    assert rows == [
        ("alias", "alias", "u1", ""),
        ("group", "group", "u1", ""),
        ("identify", "identify", "u1", ""),
        ("page", "Page Viewed", "u1", ""),
        ("screen", "Screen Viewed", "u1", ""),
        ("track", "Old", "u1", ""),
        ("track", "Order Completed", "u1", ""),
        ("track", "Viewed", "", "an1"),
    ]
    (old,) = await tracking.clickhouse("toString(occurred_at)", "WHERE event = 'Old'")
    assert old == ("2020-01-01 00:00:00.000",)
    (alias,) = [e for e in await tracking.logged() if e.type == "alias"]
    assert (alias.user_id, alias.previous_id) == ("u1", "an1")
