"""Requests recorded from real SDKs, replayed: every event stored once, with its ids and times.

A few scenarios lie beside this file. ``SDK_FIXTURES`` may name a directory with whole recordings of
the same form (one JSON object per request).
"""

import base64
import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from gateway.routing import Ingestion, route
from services.identifiers import PRIORITY
from tests.tracking.service import Running, Tracking

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
RECORDINGS = Path(os.environ.get("SDK_FIXTURES", HERE))  # noqa: TID251 - of the tests only
_NOT_REPLAYED = {"host", "connection", "content-length", "accept-encoding", "authorization"}
Event = dict[str, Any]
Row = tuple[Any, ...]


def scenarios() -> Iterator[Any]:
    for client in CLIENTS:
        path = RECORDINGS / f"{client}.jsonl"
        if not path.exists():
            reason = f"{path.name} is not in SDK_FIXTURES"
            yield pytest.param(client, [], id=client, marks=pytest.mark.skip(reason))
            continue
        requests = [json.loads(line) for line in path.read_text().splitlines()]
        for name, group in groupby(requests, key=lambda request: request["scenario"]):
            # What clients ask besides posting events is the gateway's.
            posts = [request for request in group if request["method"] == "POST"]
            if posts:
                yield pytest.param(client, posts, id=f"{client}-{name}")


def content(request: dict[str, Any]) -> bytes:
    if "wire_body_base64" in request:
        return base64.b64decode(request["wire_body_base64"])
    if request["body_kind"] == "text":
        return str(request["body"]).encode()
    if request["json_style"] == "compact":
        return json.dumps(request["body"], separators=(",", ":"), ensure_ascii=False).encode()
    return json.dumps(request["body"]).encode()


def milliseconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


NAMES = {"page": "Page Viewed", "screen": "Screen Viewed"}


def segment(request: dict[str, Any]) -> Iterator[Row]:
    """Segment's shapes, also RudderStack's and Jitsu's: rows the events have to become."""
    for event in request["body"].get("batch", [request["body"]]):
        at = milliseconds(event.get("timestamp") or event["originalTimestamp"])
        kind = event["type"]
        names = ("name", "category") if kind in NAMES else ()
        learned = event["context"].get("traits", {}) if kind == "identify" else {}
        yield (
            event["messageId"],
            kind,
            event.get("event") or NAMES.get(kind, kind),
            event.get("userId") or "",
            event.get("anonymousId") or "",
            at,
            at,
            "original",
            learned | event.get("traits", {}),
            {k: v for k in names if (v := event.get(k)) is not None} | event.get("properties", {}),
            event["context"],
        )


def posthog(request: dict[str, Any]) -> Iterator[Row]:
    """Type, name, user, anonymous id and traits of each of the recorded calls, as they follow from
    what was called; the other columns from the request."""
    expected = {
        "Order Completed": ("track", "Order Completed", "u1", "", {"email": "a@b.c"}),
        "$pageview": ("page", "Page Viewed", "u1", "", {}),
        "$set": ("identify", "identify", "u1", "", {"plan": "pro"}),
        "$groupidentify": ("group", "group", "", "DISTINCT", {"name": "Acme"}),
        "$create_alias": ("alias", "alias", "u1", "", {}),
        "anon ev": ("track", "anon ev", "", "DISTINCT", {}),
    }
    for event in request["body"]["batch"]:
        *names, traits = expected[event["event"]]
        at = milliseconds(event["timestamp"])
        ids = [str(name).replace("DISTINCT", event["distinct_id"]) for name in names]
        properties = {k: v for k, v in event["properties"].items() if k != "$set"}
        if names[0] == "page":
            properties["url"] = "http://x/"
        elif names[0] != "track":
            properties = {}
        context: Event = {
            "library": {
                "name": event["properties"]["$lib"],
                "version": event["properties"]["$lib_version"],
            }
        }
        if names[0] == "page":
            context["page"] = {"url": "http://x/"}
        if names[0] in ("track", "identify") and traits:
            context["traits"] = traits
        if names[0] == "group" and event["properties"]["$lib"] == "posthog-python":
            # It speaks of the account alone: its anonymous id is one of the server.
            context["account"] = {"member": False}
        yield (event["uuid"], *ids, at, at, "original", traits, properties, context)


def jitsu_legacy(request: dict[str, Any]) -> Iterator[Row]:
    context = {"library": {"name": "jitsu"}, "traits": {"email": "a@b.c"}}
    for event in request["body"]:
        at = milliseconds(event["utc_time"])
        if event["event_type"] == "user_identify":
            names, traits, properties = ("identify", "identify"), {"email": "a@b.c"}, {}
        else:
            names, traits, properties = ("track", "order_completed"), {}, {"revenue": 12.5}
        yield ("", *names, "u1", "", at, at, "original", traits, properties, context)


def cloudevents(request: dict[str, Any]) -> Iterator[Row]:
    """One event in two modes: the second is a repetition of the first."""
    headers = {k.lower(): v for k, v in request["headers"].items()}
    named = headers if "ce-id" in headers else {f"ce-{k}": v for k, v in request["body"].items()}
    at = milliseconds(named["ce-time"])
    attributes = {"specversion": "1.0", "source": "https://acme/shop"}
    columns: Row = (at, at, "original", {}, {"revenue": 12.5}, {"cloudevent": attributes})
    yield (named["ce-id"], "track", "com.acme.order", "u1", "", *columns)


CLIENTS: dict[str, Callable[[dict[str, Any]], Iterator[Row]]] = {
    "segment-python": segment,
    "segment-node": segment,
    "segment-node-legacy": segment,
    "segment-browser": segment,
    "rudder-python": segment,
    "rudder-browser": segment,
    "jitsu-node": segment,
    "jitsu-legacy-node": jitsu_legacy,
    "posthog-python": posthog,
    "cloudevents-python": cloudevents,
}


def target(path: str) -> str:
    """Where the gateway brings it."""
    name, _, query = path.partition("?")
    found = route(name)
    assert isinstance(found, Ingestion), path
    return f"{found.path}?{query}" if query else found.path


@pytest.mark.parametrize(("client", "requests"), list(scenarios()))
async def test_every_event_is_stored_once_with_its_ids_traits_and_times(
    tracking: Tracking, client: str, requests: list[dict[str, Any]]
) -> None:
    received = iter([milliseconds(request["received_at"]) for request in requests])
    rows_of = CLIENTS[client]
    expected = {repr(row[:6]): row for request in requests for row in rows_of(request)}
    async with (
        tracking.ingest(now_ms=received.__next__) as ingest,
        tracking.store() as store,
    ):
        for request in requests:
            assert len(content(request)) == request["wire_bytes"]
            headers = {
                k: v for k, v in request["headers"].items() if k.lower() not in _NOT_REPLAYED
            }
            path = target(request["path"])
            response = await ingest.post(path, content=content(request), headers=headers)
            assert (response.status_code, response.json()) == (200, {"success": True})
        await Running(ingest, store, tracking).loaded(len(expected))
    times = "toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(original_at)"
    rows = await tracking.clickhouse(
        f"message_id, type, event, user_id, anonymous_id, {times}, time_source, "
        "traits, properties, context"
    )
    stored = [(own_less(row[0]), *row[1:8], *map(json.loads, row[8:])) for row in rows]
    assert sorted(stored, key=repr) == sorted(expected.values(), key=repr)
    for event in await tracking.logged():
        namespaces = [namespace for namespace, _ in event.identifiers]
        assert namespaces == sorted(namespaces, key=PRIORITY.index)
        learned = json.loads(event.traits) if event.type == "identify" else {}
        learned |= json.loads(event.context).get("traits", {})
        assert ("email" in namespaces) == ("email" in learned)
    assert await tracking.quarantined() == []


def own_less(message_id: str) -> str:
    """Nothing for an id that the platform gave itself."""
    return "" if message_id.startswith("waymark-") else message_id
