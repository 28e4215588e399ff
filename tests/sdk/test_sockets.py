"""Clients that cannot run here (mobile ones): what they send by their documentation, byte by byte
over a socket."""

import gzip
import json
import socket
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from tests.sdk import story
from tests.sdk.runs import Client, End, Outcome, collect, prepare
from tests.sdk.story import Event, Run
from tests.sdk.verdict import check
from tests.support.platform import Platform

ANALYTICS_KOTLIN = Client(
    "segment-kotlin", (), "analytics-kotlin",
    (story.identify, story.order, story.visit, story.screen),
)  # fmt: skip
CHUNK = 64


def events(run: Run) -> list[Event]:
    library = {"library": {"name": "analytics-kotlin", "version": "1.0"}}
    named = {"userId": run.user, "context": library}
    said = [
        {"type": "identify", "traits": run.traits, **named},
        {
            "type": "track", "event": "Order Completed", "properties": story.ORDER,
            "timestamp": run.ordered_at, **named,
        },
        {
            "type": "track", "event": "Product Viewed", "properties": {"sku": "s1"},
            "anonymousId": run.visitor, "context": library,
        },
        {"type": "screen", "name": "Main", "properties": {"tab": 1}, **named},
    ]  # fmt: skip
    return [each | {"messageId": f"{run.token}-{n}"} for n, each in enumerate(said)]


def post(url: str, path: str, content: bytes) -> tuple[int, bytes]:
    """Status and body of a POST in chunks, its key nowhere but in the body."""
    address = urlsplit(url)
    chunks = [content[at : at + CHUNK] for at in range(0, len(content), CHUNK)]
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        "Content-Type: text/plain\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=30) as wire:
        wire.sendall(head.encode())
        for chunk in [*chunks, b""]:
            wire.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        answer = b"".join(iter(lambda: wire.recv(65_536), b""))
    front, _, body = answer.partition(b"\r\n\r\n")
    return int(front.split(b" ", 2)[1]), body


@pytest.mark.parametrize("path", ["/b", "/v1/b", "/v1/import/", "/v1/batch"])
def test_a_mobile_clients_chunked_gzip_is_stored_once(platform: Platform, path: str) -> None:
    run = prepare(platform, ANALYTICS_KOTLIN, path)
    batch = {"batch": events(run), "sentAt": run.began.isoformat(), "writeKey": run.key}
    content = gzip.compress(json.dumps(batch).encode())
    for _ in range(2):
        status, body = post(platform.url, path, content)
        assert (status, json.loads(body)) == (200, {"success": True})
    outcome = Outcome(run, End(0, ""), [], datetime.now(UTC))
    collect(platform, [outcome])
    check(ANALYTICS_KOTLIN, "ok", outcome)
