"""Keys and sources through the API."""

import asyncio
from uuid import uuid4

import httpx2
import pytest

from gateway.bootstrap import bootstrap
from tests.gateway.support import Platform
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

EVENT = {"event": "Tried", "userId": "u1"}


async def _create(platform: Platform, **body: object) -> httpx2.Response:
    return await platform.client.post("/api/v1/keys", headers=platform.admin, json=body)


async def test_a_key_is_shown_once_and_works_until_it_is_revoked(platform: Platform) -> None:
    created = (await _create(platform, kind="secret", name=" Reports ")).json()
    assert created["name"] == "Reports"
    assert created["key"].endswith(created["hint"])
    mine = {"Authorization": f"Bearer {created['key']}"}
    assert (await platform.client.get("/api/v1/profiles", headers=mine)).status_code == 200

    listed = (await platform.client.get("/api/v1/keys", headers=platform.admin)).json()["items"]
    assert [key for key in listed if key["id"] == created["id"]] == [
        {name: value for name, value in created.items() if name != "key"}
    ]
    assert created["key"] not in str(listed)

    gone = await platform.client.delete(f"/api/v1/keys/{created['id']}", headers=platform.admin)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await platform.client.get("/api/v1/profiles", headers=mine)).status_code == 401
    again = await platform.client.delete(f"/api/v1/keys/{created['id']}", headers=platform.admin)
    assert again.status_code == 204


async def test_a_source_comes_with_a_write_key_that_names_it(platform: Platform) -> None:
    response = await platform.client.post(
        "/api/v1/sources", headers=platform.admin, json={"name": "网店"}
    )
    source = response.json()
    assert (response.status_code, source["name"]) == (201, "网店")
    await platform.post("/v1/track", json=EVENT, auth=(source["write_key"], ""))
    assert platform.ingest.seen[0].caller("tracking").source_id == source["id"]

    body = {"kind": "write", "name": "second", "source_id": source["id"]}
    second = (await _create(platform, **body)).json()
    await platform.post("/v1/track", json=EVENT, auth=(second["key"], ""))
    assert platform.ingest.seen[1].caller("tracking").source_id == source["id"]

    listed = (await platform.client.get("/api/v1/sources", headers=platform.admin)).json()["items"]
    assert [item["name"] for item in listed] == ["Default source", "网店"]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"kind": "write", "name": "x"}, 422, "#/source_id"),
        ({"kind": "secret", "name": "x", "source_id": str(uuid4())}, 422, "#/source_id"),
        ({"kind": "write", "name": "x", "source_id": str(uuid4())}, 404, None),
        ({"kind": "root", "name": "x"}, 422, "#/kind"),
        ({"kind": "secret", "name": "  "}, 422, "#/name"),
        ({"kind": "secret", "name": "x" * 201}, 422, "#/name"),
        ({"kind": "secret", "name": 5}, 422, "#/name"),
        ({"kind": "secret", "name": "x", "workspace_id": str(uuid4())}, 422, "#/workspace_id"),
        ([], 422, "#"),
    ],
)
async def test_a_wrong_body_is_a_problem_that_names_the_field(
    platform: Platform, body: object, status: int, pointer: str | None
) -> None:
    response = await platform.client.post("/api/v1/keys", headers=platform.admin, json=body)
    assert response.status_code == status, response.text
    if pointer:
        assert pointer in [error["pointer"] for error in response.json()["errors"]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"kind":"secret","name":NaN}',
        b'{"kind":"secret","name":"\\ud800"}',
        b'{"kind":"secret","name":"a\\u0000"}',
        b"[" * 100_000,
        b'{"name":1e999}',
        "{}".encode("utf-16"),
    ],
    ids=range(8),
)
async def test_a_hostile_body_is_a_client_error(platform: Platform, content: bytes) -> None:
    headers = {**platform.admin, "Content-Type": "application/json"}
    for path in ("/api/v1/keys", "/api/v1/sources"):
        response = await platform.client.post(path, headers=headers, content=content)
        assert 400 <= response.status_code < 500, response.text
        assert response.headers["content-type"] == "application/problem+json"


async def test_the_last_secret_key_stays(gateway_database: Database, platform: Platform) -> None:
    lone = await bootstrap(gateway_database.app_dsn, "Lone")
    admin = {"Authorization": f"Bearer {lone['secret_key']}"}
    keys = (await platform.client.get("/api/v1/keys", headers=admin)).json()["items"]
    (secret,) = [key for key in keys if key["kind"] == "secret"]
    response = await platform.client.delete(f"/api/v1/keys/{secret['id']}", headers=admin)
    assert (response.status_code, response.json()["type"]) == (409, "/problems/last-secret-key")


async def test_workspaces_see_only_themselves(
    gateway_database: Database, platform: Platform
) -> None:
    other = await bootstrap(gateway_database.app_dsn, "Other")
    theirs = {"Authorization": f"Bearer {other['secret_key']}"}
    current = (await platform.client.get("/api/v1/workspaces/current", headers=theirs)).json()
    assert (current["id"], current["name"]) == (other["workspace_id"], "Other")

    mine = (await platform.client.get("/api/v1/keys", headers=platform.admin)).json()["items"]
    for path in ("/api/v1/keys", "/api/v1/sources", "/api/v1/audit-log"):
        seen = (await platform.client.get(path, headers=theirs)).text
        assert not [key["id"] for key in mine if key["id"] in seen]
    for key_id in (mine[0]["id"], str(uuid4())):
        response = await platform.client.delete(f"/api/v1/keys/{key_id}", headers=theirs)
        assert response.status_code == 404
    body = {"kind": "write", "name": "x", "source_id": platform.source_id}
    response = await platform.client.post("/api/v1/keys", headers=theirs, json=body)
    assert response.status_code == 404


async def test_lists_are_paged_by_cursor(platform: Platform) -> None:
    for number in range(3):
        await _create(platform, kind="secret", name=f"k{number}")
    whole = (await platform.client.get("/api/v1/keys?limit=500", headers=platform.admin)).json()
    assert whole["next_cursor"] is None
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"/api/v1/keys?limit=2&cursor={cursor}" if cursor else "/api/v1/keys?limit=2"
        page = (await platform.client.get(query, headers=platform.admin)).json()
        assert len(page["items"]) <= 2
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [item["id"] for item in whole["items"]]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "cursor=%00", "cursor=WyJ4Il0"]
)
async def test_a_wrong_page_parameter_is_a_problem(platform: Platform, query: str) -> None:
    response = await platform.client.get(f"/api/v1/keys?{query}", headers=platform.admin)
    assert response.status_code == 422, response.text


async def test_creating_and_revoking_keys_is_written_down(platform: Platform) -> None:
    created = (await _create(platform, kind="secret", name="Noted")).json()
    url = f"/api/v1/keys/{created['id']}"
    revoked = await platform.client.delete(url, headers=platform.admin)
    log = (await platform.client.get("/api/v1/audit-log", headers=platform.admin)).json()
    ours = [entry for entry in log["items"] if entry["target_id"] == created["id"]]
    assert [entry["action"] for entry in ours] == ["key.revoked", "key.created"]
    assert ours[0]["request_id"] == revoked.headers["x-request-id"]
    assert ours[0]["actor"].startswith("key:")
    assert created["key"] not in str(log)


async def test_a_repeated_call_with_an_idempotency_key_creates_nothing(platform: Platform) -> None:
    bodies: dict[str, dict[str, object]] = {
        "/api/v1/keys": {"kind": "secret", "name": "Once"},
        "/api/v1/sources": {"name": "Once"},
    }
    headers = {**platform.admin, "Idempotency-Key": "k-1"}
    for path, body in bodies.items():
        calls = [platform.client.post(path, headers=headers, json=body) for _ in range(10)]
        answers = await asyncio.gather(*calls)
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
        (created,) = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        repeated = [answer.json() for answer in answers if answer.status_code == 409]
        assert {problem["id"] for problem in repeated} == {created}
        assert {problem["type"] for problem in repeated} == {"/problems/already-created"}
        listed = (await platform.client.get(f"{path}?limit=500", headers=platform.admin)).json()
        assert len([item for item in listed["items"] if item["name"] == "Once"]) == 1
        again = await platform.client.post(
            path, headers={**platform.admin, "Idempotency-Key": "k-2"}, json=body
        )
        assert again.status_code == 201
