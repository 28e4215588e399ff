"""Ingestion over HTTP, against the real app and a real PostgreSQL."""

import gzip
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from openapi_spec_validator import validate

from services.contracts.events import Outcome
from services.kit import feeds
from services.tracking.main import create_app
from services.tracking.settings import TrackingSettings
from tests.support.app import running, service_headers, signing_key, trusted_keys, user_headers
from tests.support.postgres import NewDatabase
from tests.tracking.service import Tracking, each_log, track

pytestmark = pytest.mark.anyio

NAMES = ("track", "identify", "page", "screen", "group", "alias", "batch", "import", *"tipsgab")


@pytest.fixture
def tracking(database: NewDatabase, log_dsn: str | None) -> Tracking:
    """Without ClickHouse, which ingestion does not need."""
    return Tracking(database("tracking"), clickhouse_dsn="", log_dsn=log_dsn)


@pytest.fixture
async def ingest(tracking: Tracking) -> AsyncIterator[httpx2.AsyncClient]:
    async with tracking.ingest() as client:
        yield client


def body_of(name: str) -> dict[str, Any]:
    event = track(groupId="g1", previousId="an1", traits={}, name="Home")
    return {"batch": [event]} if name in ("batch", "import", "b") else event


async def test_every_path_answers_exactly_200_and_success(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    expected = []
    for name in NAMES:
        for slash in ("", "/"):
            response = await ingest.post(f"/v1/{name}{slash}", json=body_of(name))
            assert (response.status_code, response.json()) == (200, {"success": True}), name
            expected.append("track" if "batch" in body_of(name) else _type_of(name))
    assert [event.type for event in await tracking.logged()] == expected


def _type_of(name: str) -> str:
    short = {k[0]: k for k in ("track", "identify", "page", "screen", "group", "alias")}
    return short.get(name, name)


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", None]
)
@pytest.mark.parametrize("labelled", [True, False])
async def test_gzip_is_seen_by_its_first_bytes_under_any_content_type(
    ingest: httpx2.AsyncClient, tracking: Tracking, content_type: str | None, labelled: bool
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    headers |= {"Content-Encoding": "gzip"} if labelled else {}
    packed = gzip.compress(json.dumps({"batch": [track(messageId="m1")]}).encode())
    for sent in (packed, gzip.decompress(packed)):
        response = await ingest.post("/v1/batch", content=sent, headers=headers)
        assert response.status_code == 200
    assert [e.message_id for e in await tracking.logged()] == ["m1", "m1"]


async def test_a_gzip_bomb_is_refused(ingest: httpx2.AsyncClient, tracking: Tracking) -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)
    assert len(bomb) < 1_000_000
    response = await ingest.post("/v1/batch", content=bomb)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")
    response = await ingest.post("/v1/batch", content=gzip.compress(b"") * 50_000)
    assert response.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b'{"batch":[]}', mtime=0)[:-9],
        b"\x1f\x8bnot gzip at all",
        gzip.compress(b'{"batch":[]}', mtime=0)[:12],
        zlib.compress(b'{"batch":[]}')[:-3],
    ],
)
async def test_broken_gzip_is_a_400(ingest: httpx2.AsyncClient, body: bytes) -> None:
    response = await ingest.post("/v1/batch", content=body)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_body")


async def test_the_largest_batch_is_accepted_and_more_bytes_are_not(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    events = [track(properties={"filler": "x" * 1_900}) for _ in range(2_500)]
    response = await ingest.post("/v1/batch", json={"batch": events})
    assert response.status_code == 200
    assert len(await tracking.logged()) == 2_500
    response = await ingest.post("/v1/batch", content=b" " * (5 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_errors_carry_code_message_and_the_members_of_a_problem(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    response = await ingest.post("/v1/track", json=track(userId={"id": 1}))
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "code": "invalid_event",
        "message": "#/userId: Expected number, string or null, got object",
        "type": "/problems/invalid-event",
        "title": "The event is not valid",
        "status": 400,
        "detail": "#/userId: Expected number, string or null, got object",
        "instance": "/v1/track",
        "errors": [
            {
                "pointer": "#/userId",
                "detail": "Expected number, string or null, got object",
            }
        ],
    }
    assert await tracking.quarantined() == [("invalid", "#/userId")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b'{"userId":"u","event":"x","properties":{"a":[{"b":1e999}]}}',
            "#/properties: Number out of range",
        ),
        (b'{"userId":"u","event":"x","traits":[]}', "#/traits: Expected object or null, got array"),
        (b'{"userId":"u"}', "#/event: A track call needs a name of 1 to 500 characters."),
        (b'{"userId":"u","event":"x"', "The JSON ends too early."),
        (b"[1]", "Expected object, got array"),
    ],
)
async def test_messages_name_the_field_and_speak_of_json(
    ingest: httpx2.AsyncClient, body: bytes, message: str
) -> None:
    assert (await ingest.post("/v1/track", content=body)).json()["message"] == message


MALFORMED = [
    b"",
    b"null",
    b"{",
    b'"\\ud800"',
    b"\x00",
    b'{"batch":[{"a":1}',
    b"[" * 100_000,
    b'{"userId":' * 100_000,
    b"\xff\xfe\x00\x01",
    "{}".encode("utf-16"),
    b'{"userId":"u1","event":NaN}',
    b'{"userId":1e999,"event":"x"}',
    b'{"userId":"u1","event":"x","properties":{"a":"\\u0000"}}',
    b'{"userId":"u1","event":"x","properties":{"a":NaN}}',
    b'{"userId":"u1","event":"x","properties":[]}',
    b'{"userId":[],"event":"x"}',
    b'{"event":"x"}',
    b'{"userId":"u1"}',
    b'{"userId":"u1","event":"' + b"x" * 33_000 + b'"}',
]


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_malformed_bodies_are_a_400_with_code_and_message(
    ingest: httpx2.AsyncClient, path: str
) -> None:
    for body in MALFORMED:
        response = await ingest.post(path, content=body)
        assert response.status_code == 400, body[:80]
        assert response.json()["code"] in ("malformed_body", "invalid_event")
        assert response.json()["message"]


async def test_unknown_keys_are_no_reason_to_refuse(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    event = track(_metadata={"nodeVersion": "v20"}, writeKey="k", version=2, integrations=7)
    response = await ingest.post("/v1/batch", json={"batch": [event], "sequence": 1})
    assert response.status_code == 200
    assert len(await tracking.logged()) == 1


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthenticated"),
        ({"Authorization": "Basic a2V5Og=="}, 401, "unauthenticated"),
        ({"Authorization": "Bearer x.y.z"}, 401, "unauthenticated"),
        (user_headers("profile", uuid4(), scopes=("ingest",)), 401, "unauthenticated"),
        (user_headers("tracking", uuid4(), scopes=("read",)), 403, "forbidden"),
        (service_headers("profile", "tracking"), 403, "forbidden"),
    ],
)
async def test_only_a_key_for_events_may_send_them(
    tracking: Tracking, headers: dict[str, str], status: int, code: str
) -> None:
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        response = await client.post("/v1/track", json=track())
    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_unknown_calls_and_methods_are_4xx(ingest: httpx2.AsyncClient) -> None:
    response = await ingest.post("/v1/purchase", json={})
    assert (response.status_code, response.json()["code"]) == (404, "unknown_call")
    assert (await ingest.get("/v1/batch")).status_code == 405


async def test_events_of_one_workspace_are_not_seen_by_another(
    ingest: httpx2.AsyncClient, tracking: Tracking
) -> None:
    await ingest.post("/v1/batch", json={"batch": [track(), track(userId="")]})
    other = Tracking(tracking.database, tracking.clickhouse_dsn)
    counts = "SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM quarantine)"
    assert await other.sql(counts) == [(0, 0)]
    assert await tracking.sql(counts) == [(1, 1)]


async def test_without_postgres_nothing_is_acknowledged(tracking: Tracking) -> None:
    settings = TrackingSettings.model_validate(
        {
            "role": "ingest",
            "postgres_dsn": "postgresql+asyncpg://nobody@/nothing?host=/nonexistent",
            "signing_key": signing_key("tracking"),
            "trusted_keys": trusted_keys(),
            "log_level": "CRITICAL",
        }
    )
    headers = user_headers("tracking", tracking.workspace_id, scopes=("ingest",))
    async with running(create_app(settings), headers) as client:
        response = await client.post("/v1/track", json=track())
        ready = await client.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert int(response.headers["retry-after"]) > 0
    assert ready.status_code == 503


OUTCOME = Outcome("k:sent", "Message Sent", str(uuid4()), 1_795_328_235_366, '{"channel":"email"}')


@each_log
async def test_outcomes_go_into_a_partition_of_their_own(tracking: Tracking) -> None:
    headers = service_headers("orchestrator", "tracking", tracking.workspace_id)
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        response = await client.post("/internal/v1/outcomes", content=feeds.pack([OUTCOME]))
    assert (response.status_code, response.json()) == (200, {"accepted": 1})
    rows = await tracking.rows(f"{tracking.workspace_id}:outcomes")
    assert [(row.count, feeds.unpack(row.data, Outcome)) for row in rows] == [(1, [OUTCOME])]
    assert await tracking.rows() == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"message_id": ""}, "#/0/message_id"),
        ({"event": "x\x00"}, "#/0/event"),
        ({"profile_id": "p1"}, "#/0/profile_id"),
        ({"occurred_at": -1}, "#/0/occurred_at"),
        ({"occurred_at": 2**63}, "#/0/occurred_at"),
        ({"properties": "[]"}, "#/0/properties"),
        ({"properties": "{"}, "#/0/properties"),
        ({"properties": 1}, "#"),
    ],
)
async def test_outcomes_that_no_reader_could_take_are_refused(
    tracking: Tracking, change: dict[str, Any], pointer: str
) -> None:
    entry = {name: getattr(OUTCOME, name) for name in Outcome.__slots__} | change
    headers = service_headers("orchestrator", "tracking", tracking.workspace_id)
    async with running(create_app(tracking.settings("ingest")), headers) as client:
        response = await client.post("/internal/v1/outcomes", content=feeds.pack([entry]))
        junk = await client.post("/internal/v1/outcomes", content=b"junk")
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer
    assert junk.status_code == 422


async def test_the_sdk_paths_are_in_the_openapi_document(ingest: httpx2.AsyncClient) -> None:
    document = (await ingest.get("/openapi.json")).json()
    validate(document)
    assert {f"/v1/{name}{slash}" for name in NAMES for slash in ("", "/")} <= set(document["paths"])
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids))
