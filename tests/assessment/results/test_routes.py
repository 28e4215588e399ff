import httpx2
import pytest

from tests.assessment.answers import ITEMS, answered, open_assessment, response

pytestmark = pytest.mark.anyio


async def test_an_assessment_without_answers_has_no_level(api: httpx2.AsyncClient) -> None:
    path = await open_assessment(api)
    results = (await api.get(f"{path}/results")).json()
    assert (results["score"], results["level"], results["level_gated"]) == (None, None, None)
    assert len(results["unscored_dimensions"]) == 6
    assert results["answered_at"] is None


@pytest.mark.parametrize(
    ("scores", "score", "level"),
    [((1, 2), 1.5, 1), ((2, 2), 2.0, 2), ((3, 4), 3.5, 3), ((4, 4), 4.0, 4), ((4, 5), 4.5, 5)],
)
async def test_the_level_follows_the_mean(
    api: httpx2.AsyncClient, scores: tuple[int, int], score: float, level: int
) -> None:
    path = await answered(api, [response(each) for each in scores])
    results = (await api.get(f"{path}/results")).json()
    assert (results["score"], results["level"]["level"]) == (score, level)
    assert results["level"]["label"]["zh"]
    assert (results["floor"], results["level_gated"], results["gates"]) == (level, level, [])


async def test_one_answer_below_the_boundary_is_below_it(api: httpx2.AsyncClient) -> None:
    path = await answered(api, [response(4), response(5, CUL2=4)])
    results = (await api.get(f"{path}/results")).json()
    assert 4.48 < results["score"] < 4.5
    assert results["level"]["level"] == 4


async def test_groups_count_equally(api: httpx2.AsyncClient) -> None:
    panel = [response(5, "executive")] * 4 + [response(2, "service")]
    results = (await api.get(f"{await answered(api, panel)}/results")).json()
    assert results["score"] == 3.5


async def test_strengths_and_weaknesses_come_with_the_next_step(api: httpx2.AsyncClient) -> None:
    path = await answered(api, [response(4, GOV5=1, MEA4=5)])
    results = (await api.get(f"{path}/results")).json()
    governance = next(d for d in results["dimensions"] if d["dimension"] == "governance")
    assert [item["item_id"] for item in governance["weaknesses"]] == ["GOV5"]
    assert governance["weaknesses"][0]["next_step"]["en"].startswith("Handled project by project")
    measurement = next(d for d in results["dimensions"] if d["dimension"] == "measurement")
    assert [item["item_id"] for item in measurement["strengths"]] == ["MEA4"]
    assert measurement["strengths"][0]["next_step"] is None
    assert results["strongest_dimensions"] == ["measurement"]
    assert results["weakest_dimensions"] == ["governance"]
    assert results["gates"] == [
        {"gate": "critical_items", "allows": 2, "because": ["GOV5"]},
    ]
    assert (results["level"]["level"], results["floor"], results["level_gated"]) == (3, 3, 2)


async def test_excluded_answers_are_dropped_and_a_thin_dimension_has_no_score(
    api: httpx2.AsyncClient,
) -> None:
    thin = [
        {"item_id": item, "excluded": "not_applicable"}
        if item in ("TOO1", "TOO2")
        else {"item_id": item, "score": 4}
        for item in ITEMS
    ]
    path = await answered(api, [{"respondent_group": "data_it", "answers": thin}])
    results = (await api.get(f"{path}/results")).json()
    assert results["unscored_dimensions"] == ["tools"]
    assert results["level"] is None
    tools = next(d for d in results["dimensions"] if d["dimension"] == "tools")
    assert (tools["score"], round(tools["answered_weight"], 4)) == (None, round(3 / 5.5, 4))
    await api.post(f"{path}/responses", json=response(4, "marketing"))
    assert (await api.get(f"{path}/results")).json()["level"]["level"] == 4


async def test_a_result_is_indicative_below_three_people(api: httpx2.AsyncClient) -> None:
    path = await answered(api, [response(3)] * 2)
    assert (await api.get(f"{path}/results")).json()["indicative"] is True
    await api.post(f"{path}/responses", json=response(3))
    assert (await api.get(f"{path}/results")).json()["indicative"] is False


async def test_equal_answers_have_equal_digests(api: httpx2.AsyncClient) -> None:
    panel = [response(3), response(4, "sales")]
    digests = {
        (await api.get(f"{await answered(api, each)}/results")).json()["responses_sha256"]
        for each in (panel, panel[::-1])
    }
    other = (await api.get(f"{await answered(api, panel[:1])}/results")).json()
    assert len(digests) == 1
    assert other["responses_sha256"] not in digests
