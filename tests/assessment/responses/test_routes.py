import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.assessment.answers import answered, open_assessment, response

pytestmark = pytest.mark.anyio


async def test_answers_are_saved_and_continued(api: httpx2.AsyncClient) -> None:
    path = await open_assessment(api)
    begun = await api.post(
        f"{path}/responses",
        json={"respondent_group": "sales", "answers": [{"item_id": "CUL1", "score": 2}]},
    )
    assert begun.status_code == 201
    continued = {
        "respondent_group": "marketing",
        "answers": [
            {"item_id": "CUL1", "score": 4, "note": "Research board, May"},
            {"item_id": "TOO4", "excluded": "dont_know"},
        ],
    }
    saved = await api.put(f"{path}/responses/{begun.json()['id']}", json=continued)
    assert saved.status_code == 200
    read = await api.get(f"{path}/responses/{begun.json()['id']}")
    assert read.json() == saved.json()
    assert read.json()["respondent_group"] == "marketing"
    assert [(a["item_id"], a["score"], a["excluded"]) for a in read.json()["answers"]] == [
        ("CUL1", 4, None),
        ("TOO4", None, "dont_know"),
    ]
    assert (await api.get(path)).json()["responses"] == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"answers": [{"item_id": "CUL9", "score": 3}]}, "#/answers/0/item_id"),
        ({"answers": [{"item_id": "CUL1", "score": 6}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1", "score": 0}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1", "score": "3"}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1", "score": 3.5}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1", "score": True}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1", "score": 10**400}]}, "#/answers/0/score"),
        ({"answers": [{"item_id": "CUL1"}]}, "#/answers/0"),
        (
            {"answers": [{"item_id": "CUL1", "score": 3, "excluded": "dont_know"}]},
            "#/answers/0",
        ),
        ({"answers": [{"item_id": "CUL1", "excluded": "maybe"}]}, "#/answers/0/excluded"),
        ({"answers": [{"item_id": "CUL1", "score": 3, "mood": 1}]}, "#/answers/0/mood"),
        (
            {"answers": [{"item_id": "CUL1", "score": 3}, {"item_id": "CUL1", "score": 4}]},
            "#/answers/1/item_id",
        ),
        ({"answers": "CUL1"}, "#/answers"),
        ({"respondent_group": "astronauts"}, "#/respondent_group"),
        ({"respondent": ""}, "#/respondent"),
    ],
)
async def test_a_wrong_answer_names_the_field_and_earlier_answers_stay(
    api: httpx2.AsyncClient, change: dict[str, Any], pointer: str
) -> None:
    path = await open_assessment(api)
    first = (await api.post(f"{path}/responses", json=response(3))).json()
    before = (await api.get(f"{path}/results")).json()
    wrong = response(5) | change
    posted = await api.post(f"{path}/responses", json=wrong)
    assert posted.status_code in (400, 422), posted.text
    if posted.status_code == 422:
        assert posted.json()["errors"][0]["pointer"] == pointer
    if "respondent" not in change:
        put = await api.put(f"{path}/responses/{first['id']}", json=wrong)
        assert put.status_code == posted.status_code
    assert (await api.get(f"{path}/responses/{first['id']}")).json() == first
    assert (await api.get(f"{path}/results")).json() == before


async def test_a_respondent_answers_once_and_is_told_where(api: httpx2.AsyncClient) -> None:
    path = await open_assessment(api)
    first = await api.post(f"{path}/responses", json=response(3) | {"respondent": "p-1"})
    again = await api.post(f"{path}/responses", json=response(5) | {"respondent": "p-1"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/response-exists")
    assert again.json()["errors"][0]["pointer"] == "#/respondent"
    assert again.json()["response_id"] == first.json()["id"]
    assert (await api.get(f"{path}/results")).json()["score"] == 3


async def test_anonymous_people_answer_side_by_side(api: httpx2.AsyncClient) -> None:
    path = await answered(api, [response(2), response(4)])
    results = (await api.get(f"{path}/results")).json()
    assert (results["responses"], results["score"]) == (2, 3)


async def test_the_same_idempotency_key_counts_one_answer(api: httpx2.AsyncClient) -> None:
    path = await open_assessment(api)
    headers = {"Idempotency-Key": "phone-1"}
    first, again = [
        await api.post(f"{path}/responses", json=response(3), headers=headers) for _ in range(2)
    ]
    assert first.json() == again.json()
    assert (await api.get(path)).json()["responses"] == 1
    elsewhere = await open_assessment(api)
    reused = await api.post(f"{elsewhere}/responses", json=response(3), headers=headers)
    assert reused.json()["type"] == "/problems/idempotency-key-reused"


async def test_what_does_not_exist_is_named(api: httpx2.AsyncClient) -> None:
    path = await open_assessment(api)
    nowhere = f"/api/v1/assessments/{uuid4()}"
    posted = await api.post(f"{nowhere}/responses", json=response(3))
    assert (posted.status_code, posted.json()["type"]) == (404, "/problems/assessment-not-found")
    read = await api.get(f"{path}/responses/{uuid4()}")
    put = await api.put(f"{path}/responses/{uuid4()}", json=response(3))
    assert read.json()["type"] == put.json()["type"] == "/problems/response-not-found"
    assert (await api.get(f"{path}/responses/7")).status_code == 422


async def test_of_many_simultaneous_answers_of_one_person_one_counts(
    api: httpx2.AsyncClient,
) -> None:
    path = await open_assessment(api)
    body = response(3) | {"respondent": "p-1"}
    answers = await asyncio.gather(*(api.post(f"{path}/responses", json=body) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    assert (await api.get(path)).json()["responses"] == 1


async def test_many_people_answer_at_once_while_it_is_closed(api: httpx2.AsyncClient) -> None:
    """What was acknowledged before the close is in the kept result; the rest was refused."""
    path = await open_assessment(api)
    posts = [api.post(f"{path}/responses", json=response(3)) for _ in range(12)]
    half = len(posts) // 2
    answers = await asyncio.gather(*posts[:half], api.post(f"{path}/close"), *posts[half:])
    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {200, 201, 409}
    results = (await api.get(f"{path}/results")).json()
    assert (results["status"], results["responses"]) == ("final", codes.count(201))
