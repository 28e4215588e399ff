"""Strange bodies and values on the paths of other protocols: refused or set aside, never a 5xx."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.kit.problems import MalformedBody
from services.tracking.errors import InvalidEvent
from services.tracking.ingest.protocols.call import Adapter
from services.tracking.ingest.protocols.registry import PROTOCOLS
from tests.support.postgres import NewDatabase
from tests.tracking.ingest.calls import CLOUD, hog, merge, taken
from tests.tracking.service import Tracking, track

pytestmark = pytest.mark.anyio

MALFORMED = [
    b"",
    b" ",
    b"null",
    b"7",
    b'"\\ud800"',
    b"\x00",
    b"{",
    b"[",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"batch":' + b"[" * 100_000,
    b"\xff\xfe\x00\x01",
    "{}".encode("utf-16"),
    b'{"batch":7}',
    b'{"batch":{"a":1}}',
    b"data=",
    b"data=%ff",
    b"data=bm8",
    b"data=" + b"x" * 10_001,
    b"&".join([b"data=1"] * 1_000),
    gzip.compress(b"{")[:-4],
]


@pytest.mark.parametrize("adapter", list(PROTOCOLS.values()), ids=list(PROTOCOLS))
def test_what_is_no_body_at_all_is_the_clients_fault(adapter: Adapter) -> None:
    for body in MALFORMED:
        with pytest.raises((MalformedBody, InvalidEvent)):
            taken(adapter, body)


ODD: list[Any] = [
    None, True, 7, -0.0, 1e308, 2**70, "", "\x00", "x" * 40_000, [], [[]], {}, {"$set": 7},
    {"a": {"b": [None]}}, ["u1"], "2026-13-45", -1, 10**30,
]  # fmt: skip
FIELDS = {
    "cloudevents": [*CLOUD, "data", "data_base64", "userid", "anonymousid", "extra"],
    "posthog": [
        "event", "distinct_id", "properties", "timestamp", "uuid", "offset", "$set", "sent_at",
        "properties.$set", "properties.$groups", "properties.$lib", "properties.alias",
        "properties.distinct_id", "properties.$device_id", "properties.$group_key",
        "properties.$group_set", "properties.$is_identified", "properties.$screen_name",
    ],
    "jitsu": ["event_type", "user", "event_id", "utc_time", "utm", "ids", "user.id", "user.email"],
    "merge": ["mergeProperties", "type", "userId", "context", "traits", "messageId"],
}  # fmt: skip
WHOLE: dict[str, list[dict[str, Any]]] = {
    "cloudevents": [CLOUD],
    "posthog": [
        hog(name)
        for name in ("x", "$identify", "$set", "$create_alias", "$groupidentify", "$screen")
    ],
    "jitsu": [{"event_type": "user_identify", "user": {"id": "u1"}}],
    "merge": [merge(("user_id", "u1"), ("email", "a@b.cd"))],
}


def odd_ones(name: str) -> list[dict[str, Any]]:
    """A good event with one field after the other made strange."""
    found = []
    for whole in WHOLE[name]:
        for field in FIELDS[name]:
            for value in ODD:
                event = json.loads(json.dumps(whole))
                outer, _, inner = field.partition(".")
                if inner:
                    event.setdefault(outer, {})[inner] = value
                else:
                    event[outer] = value
                found.append(event)
    return found


@pytest.fixture
def tracking(database: NewDatabase) -> Tracking:
    return Tracking(database("tracking"), clickhouse_dsn="")


@pytest.fixture
async def ingest(tracking: Tracking) -> AsyncIterator[httpx2.AsyncClient]:
    async with tracking.ingest() as client:
        yield client


@pytest.mark.parametrize("name", PROTOCOLS)
async def test_strange_values_are_accepted_or_set_aside_and_never_a_fault_of_ours(
    ingest: httpx2.AsyncClient, tracking: Tracking, name: str
) -> None:
    for body in MALFORMED:
        response = await ingest.post(f"/v1/{name}", content=body)
        assert response.status_code == 400, (body[:60], response.text)
        assert set(response.json()) >= {"code", "message"}
    odd = odd_ones(name)
    for start in range(0, len(odd), 500):
        part = odd[start : start + 500]
        response = await ingest.post(f"/v1/{name}", json=part)
        assert response.status_code == 200, response.text
    kept = len(await tracking.logged()) + len(await tracking.quarantined())
    assert kept == len(odd)
    for event in odd[::7]:
        response = await ingest.post(f"/v1/{name}", json=event)
        assert response.status_code in {200, 400}, (event, response.text)
    for path in (f"/v1/{name}", f"/v1/{name}/"):
        response = await ingest.post(path, json=WHOLE[name][0])
        assert (response.status_code, response.json()) == (200, {"success": True})


async def test_the_device_id_comes_in_a_header_in_base64(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    for header in (base64.b64encode(b"an1").decode(), "%%%", "/w=="):
        response = await ingest.post(
            "/v1/batch",
            json={"batch": [track(userId="", event=header)]},
            headers={"AnonymousId": header},
        )
        assert response.status_code == 200
    assert [event.anonymous_id for event in await tracking.logged()] == ["an1"]
    assert await tracking.quarantined() == [("missing_id", "#/batch/0/userId")] * 2
