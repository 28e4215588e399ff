import httpx2
import pytest
from openapi_spec_validator import validate

pytestmark = pytest.mark.anyio


async def test_the_service_says_that_it_is_alive_and_ready(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/livez")).status_code == 200
    ready = await api.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]) == (200, {"postgres": "ok"})


async def test_the_openapi_document_is_valid_and_names_the_problems(
    api: httpx2.AsyncClient,
) -> None:
    document = (await api.get("/openapi.json")).json()
    validate(document)
    answers = document["paths"]["/api/v1/assessments/{assessment_id}/responses"]["post"][
        "responses"
    ]
    assert {"201", "401", "404", "409", "422"} <= set(answers)
    assert "score" in document["components"]["schemas"]["Answer"]["properties"]


async def test_every_operation_tells_what_it_does(api: httpx2.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), (method, path)


async def test_an_unknown_path_is_a_problem(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == 404
