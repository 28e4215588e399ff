from collections.abc import Callable
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from tests.assessment.answers import answered, open_assessment, response
from tests.support.app import running, user_headers

pytestmark = pytest.mark.anyio


async def test_a_created_assessment_can_be_read(api: httpx2.AsyncClient) -> None:
    body = {"name": "  Spring 2026 ", "scope": {"kind": "unit", "name": "Service"}}
    created = await api.post("/api/v1/assessments", json=body)
    assert created.status_code == 201
    assert created.json()["name"] == "Spring 2026"
    assert created.json()["questionnaire_version"] == "1.0"
    assert (created.json()["status"], created.json()["responses"]) == ("open", 0)
    read = await api.get(f"/api/v1/assessments/{created.json()['id']}")
    assert read.json() == created.json()


async def test_assessments_are_paged_newest_first(api: httpx2.AsyncClient) -> None:
    names = [f"Wave {number}" for number in range(5)]
    for name in names:
        await open_assessment(api, name=name)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/api/v1/assessments", params=params)).json()
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(seen) == names  # ids of one millisecond have no order among themselves
    assert len(seen) == 5


@pytest.mark.parametrize("cursor", ["x", "WyJub3QtYS11dWlkIl0", "WzFd", "====", "W10"])
async def test_a_forged_cursor_is_a_problem(api: httpx2.AsyncClient, cursor: str) -> None:
    answer = await api.get("/api/v1/assessments", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/query/cursor"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/name"),
        ({"name": ""}, "#/name"),
        ({"name": 7}, "#/name"),
        ({"name": "A", "color": "red"}, "#/color"),
        ({"name": "A", "questionnaire_id": "horoscope"}, "#/questionnaire_id"),
        ({"name": "A", "scope": {"kind": "planet"}}, "#/scope/kind"),
        ({"name": "A", "scope": {"kind": "team"}}, "#/scope"),
    ],
)
async def test_a_wrong_body_names_the_field(
    api: httpx2.AsyncClient, body: dict[str, object], pointer: str
) -> None:
    answer = await api.post("/api/v1/assessments", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "body",
    [b"{", b'{"name": NaN}', b'{"name": "\\ud800"}', b'{"name": "a\\u0000b"}', b"[" * 100_000],
    ids=["cut off", "NaN", "lone surrogate", "NUL", "deep"],
)
async def test_what_is_not_strict_json_is_refused(api: httpx2.AsyncClient, body: bytes) -> None:
    answer = await api.post(
        "/api/v1/assessments", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/malformed-body")


async def test_the_same_idempotency_key_makes_one_assessment(api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "spring"}
    first, again = [
        await api.post("/api/v1/assessments", json={"name": "Spring"}, headers=headers)
        for _ in range(2)
    ]
    assert first.json() == again.json()
    assert len((await api.get("/api/v1/assessments")).json()["items"]) == 1
    other = await api.post("/api/v1/assessments", json={"name": "Autumn"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


async def test_a_closed_assessment_keeps_its_result_and_takes_no_answer(
    api: httpx2.AsyncClient,
) -> None:
    path = await answered(api, [response(3)])
    live = (await api.get(f"{path}/results")).json()
    closed = await api.post(f"{path}/close")
    assert closed.json()["status"] == "closed"
    late = await api.post(f"{path}/responses", json=response(5))
    assert (late.status_code, late.json()["type"]) == (409, "/problems/assessment-closed")
    assert (await api.get(f"{path}/results")).json() == live | {"status": "final"}
    again = await api.post(f"{path}/close")
    assert again.json() == closed.json()


async def test_another_workspace_sees_nothing(
    api: httpx2.AsyncClient, assessment_app: FastAPI
) -> None:
    path = await answered(api, [response(3)])
    stranger = user_headers("assessment", uuid4())
    for call in (path, f"{path}/results"):
        assert (await api.get(call, headers=stranger)).status_code == 404
    closing = await api.post(f"{path}/close", headers=stranger)
    posting = await api.post(f"{path}/responses", json=response(3), headers=stranger)
    assert (closing.status_code, posting.status_code) == (404, 404)
    assert (await api.get("/api/v1/assessments", headers=stranger)).json()["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        lambda workspace: {"Authorization": ""},
        lambda workspace: {"Authorization": "Bearer nonsense"},
        lambda workspace: user_headers("profile", workspace),
    ],
    ids=["none", "forged", "for another service"],
)
async def test_a_call_without_a_good_token_is_refused(
    assessment_app: FastAPI, workspace_id: UUID, headers: Callable[[UUID], dict[str, str]]
) -> None:
    async with running(assessment_app, headers(workspace_id)) as client:
        answer = await client.get("/api/v1/assessments")
    assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthenticated")
