from uuid import UUID, uuid4

import httpx2
import pytest

from services.contracts.assessment import Readiness
from tests.assessment.answers import answered, open_assessment, response
from tests.support.app import service_headers, user_headers

pytestmark = pytest.mark.anyio


async def test_an_unassessed_workspace_is_limited_to_two_channels_by_a_warning(
    api: httpx2.AsyncClient, workspace_id: UUID
) -> None:
    readiness = (await api.get("/api/v1/readiness")).json()
    assert readiness["workspace_id"] == str(workspace_id)
    assert (readiness["level"], readiness["status"]) == (None, "unknown")
    assert (readiness["mode"], readiness["max_channels"]) == ("warn", 2)
    assert [reason["code"] for reason in readiness["reasons"]] == ["not_assessed"]


async def test_level_two_is_a_pilot_and_says_why(api: httpx2.AsyncClient) -> None:
    path = await answered(api, [response(2)])
    readiness = (await api.get("/api/v1/readiness")).json()
    assert (readiness["level"], readiness["status"], readiness["max_channels"]) == (2, "pilot", 2)
    assert readiness["reasons"][0]["en"] == (
        "The maturity level is 2, and full orchestration needs level 3."
    )
    assert path.endswith(readiness["assessment_id"])
    assert readiness["assessed_at"] is not None


async def test_level_three_opens_all_channels(api: httpx2.AsyncClient) -> None:
    await answered(api, [response(3)])
    readiness = (await api.get("/api/v1/readiness")).json()
    assert (readiness["status"], readiness["max_channels"], readiness["reasons"]) == (
        "full",
        None,
        [],
    )


async def test_the_mode_is_set_per_workspace(api: httpx2.AsyncClient) -> None:
    await answered(api, [response(3, GOV6=2, CUL2=4, CUL3=4)])
    assert (await api.get("/api/v1/readiness")).json()["max_channels"] is None
    body = {"mode": "enforce", "reason": "Board decision"}
    enforced = await api.put("/api/v1/readiness/mode", json=body)
    assert (enforced.json()["mode"], enforced.json()["max_channels"]) == ("enforce", 2)
    off = await api.put("/api/v1/readiness/mode", json={"mode": "off"})
    assert (off.json()["mode"], off.json()["max_channels"]) == ("off", None)
    other = await api.get("/api/v1/readiness", headers=user_headers("assessment", uuid4()))
    assert other.json()["mode"] == "warn"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "#/mode"), ({"mode": "loud"}, "#/mode"), ({"mode": "off", "by": "me"}, "#/by")],
)
async def test_a_wrong_mode_names_the_field(
    api: httpx2.AsyncClient, body: dict[str, str], pointer: str
) -> None:
    answer = await api.put("/api/v1/readiness/mode", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_new_wave_takes_over_when_it_has_a_level(api: httpx2.AsyncClient) -> None:
    await answered(api, [response(3)])
    second = await open_assessment(api)
    partial = {"respondent_group": "sales", "answers": [{"item_id": "CUL1", "score": 1}]}
    await api.post(f"{second}/responses", json=partial)
    assert (await api.get("/api/v1/readiness")).json()["level"] == 3
    await api.post(f"{second}/responses", json=response(1))
    assert (await api.get("/api/v1/readiness")).json()["level"] == 1


async def test_a_team_alone_does_not_speak_for_the_company(api: httpx2.AsyncClient) -> None:
    await answered(api, [response(5)], scope={"kind": "team", "name": "Loyalty"})
    assert (await api.get("/api/v1/readiness")).json()["status"] == "unknown"


async def test_a_service_is_answered_for_the_workspace_of_its_token(
    api: httpx2.AsyncClient, workspace_id: UUID
) -> None:
    await answered(api, [response(2)])
    headers = service_headers("orchestrator", "assessment", workspace_id)
    answer = await api.get("/internal/v1/readiness", headers=headers)
    assert Readiness.model_validate_json(answer.text).level == 2
    elsewhere = service_headers("orchestrator", "assessment", uuid4())
    other = await api.get("/internal/v1/readiness", headers=elsewhere)
    assert Readiness.model_validate_json(other.text).level is None


async def test_the_internal_door_is_for_services(
    api: httpx2.AsyncClient,
) -> None:
    assert (await api.get("/internal/v1/readiness")).status_code == 403
    nowhere = service_headers("orchestrator", "assessment")
    assert (await api.get("/internal/v1/readiness", headers=nowhere)).status_code == 403
