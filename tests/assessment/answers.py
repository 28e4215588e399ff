"""Builders of panels that answer over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from services.assessment.questionnaires.library import DEFAULT_ID, built_in

ITEMS = [item.id for item in built_in()[DEFAULT_ID].items]

Json = dict[str, Any]


def response(score: int, group: str = "executive", **other: int) -> Json:
    """A body that answers every item with ``score``, but the ``other`` items (CUL1=5)."""
    answers = [{"item_id": item, "score": other.get(item, score)} for item in ITEMS]
    return {"respondent_group": group, "answers": answers}


async def open_assessment(api: httpx2.AsyncClient, **body: Any) -> str:
    """The path of a new assessment."""
    made = await api.post("/api/v1/assessments", json={"name": "Spring", **body})
    assert made.status_code == 201, made.text
    return f"/api/v1/assessments/{made.json()['id']}"


async def answered(
    api: httpx2.AsyncClient, responses: Sequence[Mapping[str, Any]], **body: Any
) -> str:
    """The path of a new assessment with these responses."""
    path = await open_assessment(api, **body)
    for each in responses:
        posted = await api.post(f"{path}/responses", json=each)
        assert posted.status_code == 201, posted.text
    return path
