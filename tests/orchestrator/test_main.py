"""The service as a whole: health, documents, hostile bodies."""

import pytest
from openapi_spec_validator import validate

from tests.orchestrator.conftest import World

pytestmark = pytest.mark.anyio


async def test_the_service_says_that_it_is_alive_and_ready(world: World) -> None:
    assert (await world.client.get("/livez")).status_code == 200
    ready = await world.client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"postgres": "ok"})


async def test_the_openapi_document_is_valid_and_every_operation_tells_what_it_does(
    world: World,
) -> None:
    document = (await world.client.get("/openapi.json")).json()
    validate(document)
    seen: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["tags"] == ["maps"] or operation.get("description"), (method, path)
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert "422" in operation["responses"], (method, path)
    publish = document["paths"]["/api/v1/journeys/{journey_id}/publish"]["post"]
    assert {"200", "401", "403", "404", "409", "422", "503"} <= set(publish["responses"])


HOSTILE = [
    b"{",
    b'{"graph": NaN}',
    b'{"graph": 1e999}',
    b'{"graph": {"name": "\\ud800"}}',
    b'{"graph": {"name": "a\\u0000b"}}',
    b"[" * 100_000,
    b'{"graph": "' + b"x" * 2_000_000 + b'"}',
    b"\xff\xfe{}",
    b'{"graph": {"name": 7, "entry": [], "nodes": {}}}',
    b'{"graph": {"name": "a", "entry": {"kind": "event"}, "nodes": [null]}}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("path", ["/journeys", "/channels", "/message-templates"])
async def test_hostile_bodies_are_problems_of_the_caller(
    world: World, path: str, body: bytes
) -> None:
    response = await world.client.post(
        f"/api/v1{path}", content=body, headers={"content-type": "application/json"}
    )
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_deep_rules_and_huge_numbers_are_problems_of_the_caller(world: World) -> None:
    rule: dict[str, object] = {"rules": []}
    for _ in range(40):
        rule = {"rules": [rule]}
    entry = {"kind": "event", "event": "Viewed", "next": "end", "where": rule}
    nodes = [{"id": "end", "type": "exit"}]
    graph = {"name": "Deep", "entry": entry, "nodes": nodes}
    response = await world.client.post("/api/v1/journeys", json={"graph": graph})
    assert response.status_code < 500
    if response.status_code == 201:
        assert response.json()["problems"]
    huge = {**graph, "max_event_age_seconds": 10**30, "entry": {**entry, "where": None}}
    response = await world.client.post("/api/v1/journeys", json={"graph": huge})
    assert response.status_code in (400, 422)


async def test_without_a_token_nothing_is_answered(world: World) -> None:
    response = await world.client.get("/api/v1/journeys", headers={"Authorization": ""})
    assert (response.status_code, response.json()["type"]) == (401, "/problems/unauthenticated")
