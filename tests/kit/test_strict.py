"""Strict JSON: what no store could hold never reaches a handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from services.kit.app import create_app
from services.kit.auth import generate_key
from services.kit.pagination import PagingParams
from services.kit.settings import ServiceSettings
from services.kit.strict import MAX_BODY_BYTES, StrictRoute
from tests.support.app import running, trusted_keys, user_headers

pytestmark = pytest.mark.anyio


class Body(BaseModel):
    a: Any


def app() -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {}

    private, _ = generate_key()
    settings = ServiceSettings(signing_key=private, trusted_keys=trusted_keys())
    made = create_app("x", settings, title="X", description="", lifespan=lifespan, checks={})
    router = APIRouter(route_class=StrictRoute)

    @router.post("/echo")
    async def echo(body: Body) -> Body:
        return body

    @router.get("/api/v1/things")
    async def things(paging: PagingParams, kind: str | None = None) -> int:
        return paging.limit

    @router.get("/api/v1/things/one")
    async def thing() -> int:
        return 1

    @router.get("/v1/unsubscribe")
    async def unsubscribe() -> int:
        return 2

    made.include_router(router)
    return made


@pytest.fixture
async def api() -> AsyncIterator[httpx2.AsyncClient]:
    async with running(app(), {"content-type": "application/json"}) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\u0000"}',
        b'{"a\\u0000":1}',
        b'{"a":[18446744073709551616]}',
        b'{"a":-9223372036854775809}',
        b'{"a":"\xff"}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":',
        b"",
    ],
)
async def test_a_body_that_is_not_strict_json_is_a_problem(
    api: httpx2.AsyncClient, body: bytes
) -> None:
    response = await api.post("/echo", content=body)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_wrong_field_is_named(api: httpx2.AsyncClient) -> None:
    response = await api.post("/echo", json={})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "#/a"


async def test_json_that_does_not_say_so_is_told_how(api: httpx2.AsyncClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = await api.post("/echo", content=b'{"a":1}', headers=form)
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == "#"
    assert "application/json" in error["detail"]


async def test_a_body_over_the_cap_is_refused(api: httpx2.AsyncClient) -> None:
    response = await api.post("/echo", content=b'{"a":"' + b"x" * MAX_BODY_BYTES + b'"}')
    assert response.status_code == 413


async def test_every_answer_carries_the_request_id(api: httpx2.AsyncClient) -> None:
    given = await api.post("/echo", json={"a": 1}, headers={"X-Request-Id": "abc-1"})
    assert given.headers["x-request-id"] == "abc-1"
    forged = await api.post("/echo", json={"a": 1}, headers={"X-Request-Id": "a b{}"})
    assert forged.headers["x-request-id"] not in ("", "a b{}")


async def test_an_unknown_path_is_a_problem(api: httpx2.AsyncClient) -> None:
    response = await api.get("/nowhere")
    assert (response.status_code, response.json()["title"]) == (404, "Not Found")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/v1/things?kind=a&limit=3", 200, "3"),
        ("/api/v1/things?limit=3&limit=4", 200, "4"),
        ("/api/v1/things?kinds=a", 422, "One of cursor, kind, limit is accepted here."),
        ("/api/v1/things?kind=a&", 200, "50"),
        ("/api/v1/things/one?x", 422, "No parameter is accepted here."),
        ("/v1/unsubscribe?utm_source=mail", 200, "2"),
        ("/livez?t=1", 200, "ok"),
    ],
)
async def test_a_parameter_that_nobody_reads_is_refused_by_name(
    path: str, status: int, said: str
) -> None:
    made = app()
    async with running(made) as client:
        answer = await client.get(path, headers=user_headers("x", uuid4()))
        stranger = await client.get(path)
    assert answer.status_code == status
    assert said in answer.text
    assert stranger.status_code == (401 if status == 422 else status)
