"""A real SDK at the door; what it makes of our answers."""

import json
from dataclasses import dataclass, field

import pytest
from anyio import to_thread
from segment.analytics.client import Client
from starlette.types import Receive, Scope, Send

from tests.gateway.support import Platform, Seen, answer_json

pytestmark = pytest.mark.anyio


@dataclass
class Sender:
    """Segment's Python client, its errors kept."""

    platform: Platform
    key: str
    gzip: bool = False
    errors: list[str] = field(default_factory=list)

    async def send(self, number: int) -> None:
        """Track so many events and wait until the client is done with them."""
        await to_thread.run_sync(self._send, number)

    def _send(self, number: int) -> None:
        client = Client(
            self.key,
            host=self.platform.url,
            gzip=self.gzip,
            on_error=lambda error, _: self.errors.append(str(error)),
            max_retries=2,
        )
        for index in range(number):
            client.track(f"u-{index}", "Order Completed", {"total": index})
        client.flush()
        client.join()


@pytest.mark.parametrize("gzip", [False, True])
async def test_its_events_arrive_once(platform: Platform, gzip: bool) -> None:
    sender = Sender(platform, platform.write_key, gzip)
    await sender.send(3)
    assert sender.errors == []
    if not gzip:
        sent = [event for seen in platform.ingest.seen for event in json.loads(seen.body)["batch"]]
        assert [event["userId"] for event in sent] == ["u-0", "u-1", "u-2"]
    assert {seen.header("x-key-place") for seen in platform.ingest.seen} == {"basic"}


async def test_it_comes_back_after_a_503(platform: Platform) -> None:
    async def busy_once(scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        busy = len(platform.ingest.seen) == 1
        body = {"code": "unavailable", "message": "later"} if busy else {"success": True}
        await answer_json(send, 503 if busy else 200, body)

    platform.ingest.answer = busy_once
    sender = Sender(platform, platform.write_key)
    await sender.send(1)
    assert (sender.errors, len(platform.ingest.seen)) == ([], 2)
    first, second = (json.loads(seen.body)["batch"] for seen in platform.ingest.seen)
    assert first[0]["messageId"] == second[0]["messageId"]


async def test_it_gives_up_at_once_with_a_wrong_key(platform: Platform) -> None:
    sender = Sender(platform, "wrong")
    await sender.send(1)
    assert len(sender.errors) == 1
    assert "invalid_key" in sender.errors[0]
    assert platform.ingest.seen == []
