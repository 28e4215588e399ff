"""Requests recorded from real SDKs, replayed: every event stored once, with its ids and times.

A few scenarios lie beside this file. ``SDK_FIXTURES`` may name a directory with whole recordings of
the same form (one JSON object per request).
"""

import base64
import json
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from services.identifiers import PRIORITY
from tests.tracking.service import Running, Tracking

pytestmark = pytest.mark.anyio

CLIENTS = ("segment-python", "segment-node")
HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("SDK_FIXTURES", HERE))  # noqa: TID251 - of the tests only
_NOT_REPLAYED = {"host", "connection", "content-length", "accept-encoding", "authorization"}


def scenarios() -> Iterator[Any]:
    for client in CLIENTS:
        path = RECORDINGS / f"{client}.jsonl"
        if not path.exists():
            reason = f"{path.name} is not in SDK_FIXTURES"
            yield pytest.param([], id=client, marks=pytest.mark.skip(reason))
            continue
        requests = [json.loads(line) for line in path.read_text().splitlines()]
        for name, group in groupby(requests, key=lambda request: request["scenario"]):
            yield pytest.param(list(group), id=f"{client}-{name}")


def content(request: dict[str, Any]) -> bytes:
    if "wire_body_base64" in request:
        return base64.b64decode(request["wire_body_base64"])
    if request["json_style"] == "compact":
        return json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(request["body"]).encode()


def milliseconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


NAMES = {"page": "Page Viewed", "screen": "Screen Viewed"}


def expected(event: dict[str, Any]) -> tuple[Any, ...]:
    at = milliseconds(event["timestamp"])
    return (
        event["messageId"],
        event["type"],
        event.get("event") or NAMES.get(event["type"], event["type"]),
        event.get("userId") or "",
        event.get("anonymousId") or "",
        at,
        at,
        "original",
        event.get("traits", {}),
        {k: v for k in ("name", "category") if (v := event.get(k)) is not None}
        | event.get("properties", {}),
        event["context"],
    )


@pytest.mark.parametrize("requests", list(scenarios()))
async def test_every_event_is_stored_once_with_its_ids_traits_and_times(
    tracking: Tracking, requests: list[dict[str, Any]]
) -> None:
    received = iter([milliseconds(request["received_at"]) for request in requests])
    sent = {e["messageId"]: e for request in requests for e in request["body"]["batch"]}
    now_ms = received.__next__
    async with tracking.ingest(now_ms=now_ms) as ingest, tracking.store() as store:
        for request in requests:
            assert len(content(request)) == request["wire_bytes"]
            headers = {
                k: v for k, v in request["headers"].items() if k.lower() not in _NOT_REPLAYED
            }
            response = await ingest.post(request["path"], content=content(request), headers=headers)
            assert (response.status_code, response.json()) == (200, {"success": True})
        await Running(ingest, store, tracking).loaded(len(sent))
    times = "toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(original_at)"
    rows = await tracking.clickhouse(
        f"message_id, type, event, user_id, anonymous_id, {times}, time_source, "
        "traits, properties, context"
    )
    stored = [(*row[:8], *(json.loads(text) for text in row[8:])) for row in rows]
    key = str
    assert sorted(stored, key=key) == sorted(map(expected, sent.values()), key=key)
    for event in await tracking.logged():
        namespaces = [namespace for namespace, _ in event.identifiers]
        assert namespaces == sorted(namespaces, key=PRIORITY.index)
        assert ("email" in namespaces) == (event.type == "identify")
