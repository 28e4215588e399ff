import httpx2
import pytest

pytestmark = pytest.mark.anyio


async def test_the_built_in_questionnaire_is_listed_and_can_be_read(
    api: httpx2.AsyncClient,
) -> None:
    page = (await api.get("/api/v1/questionnaires")).json()
    assert [(q["id"], q["items"]) for q in page["items"]] == [("journey-maturity", 33)]
    assert page["next_cursor"] is None
    whole = (await api.get("/api/v1/questionnaires/journey-maturity")).json()
    consent = next(item for item in whole["items"] if item["id"] == "GOV5")
    assert consent["text"]["en"].startswith("How are consent")
    assert consent["text"]["zh"].startswith("如何管控同意")
    assert [len(item["anchors"]) for item in whole["items"]] == [5] * 33


async def test_an_unknown_questionnaire_is_a_problem(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/api/v1/questionnaires/horoscope")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/questionnaire-not-found")
