"""Maps over HTTP on a real database, beside neighbours that answer what the contracts say."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from services.orchestrator.main import create_app
from services.orchestrator.settings import OrchestratorSettings
from tests.orchestrator.maps.neighbours import Neighbours
from tests.support.app import running, signing_key, trusted_keys, user_headers
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio

WINDOW = {"since": "2018-01-01T00:00:00Z", "until": "2018-02-01T00:00:00Z"}


@pytest.fixture
async def neighbours() -> AsyncIterator[Neighbours]:
    async with Neighbours() as answering:
        yield answering


@pytest.fixture
async def api(database: NewDatabase, neighbours: Neighbours) -> AsyncIterator[httpx2.AsyncClient]:
    settings = OrchestratorSettings.model_validate(
        {
            "public_url": "https://cx.example.org",
            "link_key": "a key of this test run",
            "postgres_dsn": database("orchestrator").app_dsn,
            "signing_key": signing_key("orchestrator"),
            "trusted_keys": trusted_keys(),
            "tracking_ingest_url": neighbours.url,
            "tracking_store_url": neighbours.url,
            "profile_url": neighbours.url,
            "assessment_url": neighbours.url,
        }
    )
    app = create_app(settings, background=False)
    async with running(app, user_headers("orchestrator", uuid4())) as client:
        yield client


async def create(api: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await api.post("/api/v1/maps", json={"template_id": "lifecycle5"})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def bind(api: httpx2.AsyncClient, map_id: str, touchpoint: str, event: str) -> None:
    path = f"/api/v1/maps/{map_id}/touchpoints/{touchpoint}/signal"
    answer = await api.put(path, json={"signal": {"event": event}})
    assert answer.status_code == 200, answer.text


async def test_templates_are_paged_like_every_list(api: httpx2.AsyncClient) -> None:
    path = "/api/v1/map-templates"
    whole = (await api.get(path)).json()
    assert whole["items"][0]["id"] == "lifecycle5"
    assert whole["next_cursor"] is None
    first = (await api.get(path, params={"limit": 2})).json()
    rest = (await api.get(path, params={"cursor": first["next_cursor"]})).json()
    assert first["items"] + rest["items"] == whole["items"]


async def test_a_map_lives_from_template_to_deletion(api: httpx2.AsyncClient) -> None:
    created = await create(api)
    path = f"/api/v1/maps/{created['id']}"
    assert (await api.get(path)).json() == created
    document = created["document"] | {"name": {"en": "Ours", "zh": "我们的"}}
    changed = await api.put(path, json={"version": 1, "document": document})
    assert changed.json()["version"] == 2
    listed = (await api.get("/api/v1/maps")).json()["items"]
    assert [(m["id"], m["name"]["zh"]) for m in listed] == [(created["id"], "我们的")]
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404
    assert (await api.delete(path)).status_code == 404


async def test_a_change_made_from_an_old_version_never_overwrites(api: httpx2.AsyncClient) -> None:
    created = await create(api)
    path = f"/api/v1/maps/{created['id']}"
    body = {"version": 1, "document": created["document"]}
    assert (await api.put(path, json=body)).status_code == 200
    late = await api.put(path, json=body)
    assert late.status_code == 409
    assert late.json()["type"] == "/problems/map-changed"
    assert late.json()["version"] == 2


@pytest.mark.parametrize("version", [0, 2**31, 2**63])
async def test_a_version_no_map_can_have_is_refused(api: httpx2.AsyncClient, version: int) -> None:
    created = await create(api)
    body = {"version": version, "document": created["document"]}
    answer = await api.put(f"/api/v1/maps/{created['id']}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "#/version"


def bound(stage: int, touchpoints: int) -> dict[str, Any]:
    text, signal = {"en": "x"}, {"event": "Seen"}
    return {
        "id": f"s{stage}",
        "name": text,
        "touchpoints": [
            {"id": f"s{stage}t{t}", "text": text, "signal": signal} for t in range(touchpoints)
        ],
    }


@pytest.mark.parametrize(
    ("stages", "pointer"),
    [
        ([bound(s, 1) for s in range(21)], "#/document/stages/20/touchpoints"),
        ([bound(0, 0), bound(1, 21)], "#/document/stages/1/touchpoints/20/signal"),
    ],
)
async def test_more_signals_than_tracking_answers_for_are_refused(
    api: httpx2.AsyncClient, stages: list[dict[str, Any]], pointer: str
) -> None:
    document = {"name": {"en": "Large"}, "stages": stages}
    answer = await api.post("/api/v1/maps", json={"document": document})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_the_largest_map_is_measured(api: httpx2.AsyncClient, neighbours: Neighbours) -> None:
    neighbours.counts["Seen"] = 7
    document = {"name": {"en": "Large"}, "stages": [bound(s, 20) for s in range(20)]}
    created = (await api.post("/api/v1/maps", json={"document": document})).json()
    window = {"since": "2024-01-01T00:00:00Z", "until": "2024-02-01T00:00:00Z"}
    answer = await api.get(f"/api/v1/maps/{created['id']}/overlay", params=window)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("name", "at"), [("since", "0001-01-01T00:00:00+14:00"), ("until", "9999-12-31T23:59:59-14:00")]
)
async def test_a_window_outside_of_all_time_is_refused(
    api: httpx2.AsyncClient, name: str, at: str
) -> None:
    created = await create(api)
    window = {"since": "2024-01-01T00:00:00Z", "until": "2024-02-01T00:00:00Z", name: at}
    answer = await api.get(f"/api/v1/maps/{created['id']}/overlay", params=window)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == f"#/query/{name}"


async def test_a_repeated_call_with_the_same_key_makes_one_map(api: httpx2.AsyncClient) -> None:
    body, headers = {"template_id": "lifecycle5"}, {"Idempotency-Key": "k1"}
    first, again = [
        (await api.post("/api/v1/maps", json=body, headers=headers)).json() for _ in range(2)
    ]
    assert first == again
    assert len((await api.get("/api/v1/maps")).json()["items"]) == 1


async def test_the_overlay_grades_every_cell(
    api: httpx2.AsyncClient, neighbours: Neighbours
) -> None:
    neighbours.counts = {"Seen": 200, "Bought": 50}
    created = await create(api)
    await bind(api, created["id"], "aw_t2", "Seen")
    await bind(api, created["id"], "pu_t1", "Bought")
    overlay = (await api.get(f"/api/v1/maps/{created['id']}/overlay", params=WINDOW)).json()
    touchpoints = {t["touchpoint_id"]: t for t in overlay["touchpoints"]}
    assert (touchpoints["aw_t2"]["count"], touchpoints["aw_t2"]["people"]) == (400, 200)
    assert touchpoints["aw_t1"]["grade"] == "assumed"
    stages = {s["stage_id"]: s for s in overlay["stages"]}
    assert (stages["purchase"]["conversion"], stages["purchase"]["n"]) == (0.25, 200)
    assert stages["loyalty"]["people"] is None


async def test_a_map_without_any_signal_is_all_assumption(api: httpx2.AsyncClient) -> None:
    created = await create(api)
    overlay = (await api.get(f"/api/v1/maps/{created['id']}/overlay", params=WINDOW)).json()
    assert {t["grade"] for t in overlay["touchpoints"]} == {"assumed"}


async def test_an_unbound_touchpoint_becomes_an_assumption_again(
    api: httpx2.AsyncClient, neighbours: Neighbours
) -> None:
    neighbours.counts = {"Seen": 1}
    created = await create(api)
    await bind(api, created["id"], "aw_t2", "Seen")
    path = f"/api/v1/maps/{created['id']}/touchpoints/aw_t2/signal"
    assert (await api.put(path, json={"signal": None})).status_code == 200
    overlay = (await api.get(f"/api/v1/maps/{created['id']}/overlay", params=WINDOW)).json()
    assert {t["grade"] for t in overlay["touchpoints"]} == {"assumed"}


async def test_the_picture_comes_with_and_without_numbers(
    api: httpx2.AsyncClient, neighbours: Neighbours
) -> None:
    neighbours.counts = {"Seen": 7}
    created = await create(api)
    await bind(api, created["id"], "aw_t2", "Seen")
    path = f"/api/v1/maps/{created['id']}/picture.svg"
    plain = await api.get(path)
    assert plain.headers["content-type"].startswith("image/svg+xml")
    assert "14 times" not in plain.text
    live = await api.get(path, params={**WINDOW, "locale": "zh"})
    assert "14 次" in live.text
    assert "认知" in live.text


async def test_stage_rules_reach_the_profiles(
    api: httpx2.AsyncClient, neighbours: Neighbours
) -> None:
    created = await create(api)
    nothing = await api.post(f"/api/v1/maps/{created['id']}/publish-stages")
    assert nothing.status_code == 422
    document = created["document"]
    document["stages"][2]["entry"] = {
        "combinator": "and",
        "not": True,
        "rules": [{"event": "Bought", "window": {"after": "2024-01-01T00:00:00Z"}}],
    }
    path = f"/api/v1/maps/{created['id']}"
    assert (await api.put(path, json={"version": 1, "document": document})).status_code == 200
    assert (await api.post(f"{path}/publish-stages")).status_code == 200
    published = neighbours.stage_models[created["id"]]
    assert [stage.id for stage in published.stages] == ["purchase"]
    assert published.stages[0].entry.not_ is True


@pytest.mark.parametrize(
    ("signal", "pointer"),
    [
        ({"event": ""}, "#/signal/event"),
        ({"event": "x", "count": {"value": 2}}, "#/signal/count"),
        (
            {"event": "x", "where": {"rules": [{"field": "traits.a", "operator": "="}]}},
            "#/signal/where/rules/0/field",
        ),
        ({"event": "x", "unknown": 1}, "#/signal/unknown"),
        ("x", "#/signal"),
    ],
)
async def test_a_signal_that_means_nothing_is_refused_with_its_place(
    api: httpx2.AsyncClient, signal: Any, pointer: str
) -> None:
    created = await create(api)
    path = f"/api/v1/maps/{created['id']}/touchpoints/aw_t2/signal"
    answer = await api.put(path, json={"signal": signal})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await api.get(f"/api/v1/maps/{created['id']}")).json() == created


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"template_id": "lifecycle5", "document": {"name": {"en": "x"}, "stages": []}},
        {"document": {"name": {}, "stages": [{"id": "a", "name": {"en": "A"}}]}},
        {"document": {"name": {"en": "x"}, "stages": []}},
        {"document": {"name": {"en": "x"}, "stages": [{"id": "a", "name": {"en": "A"}}] * 2}},
        {"template_id": "lifecycle5", "workspace_id": str(uuid4())},
    ],
)
async def test_a_wrong_map_is_refused(api: httpx2.AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/api/v1/maps", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert (await api.get("/api/v1/maps")).json()["items"] == []


async def test_an_unknown_template_or_touchpoint_is_a_problem(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/api/v1/maps", json={"template_id": "nope"})
    assert answer.json()["type"] == "/problems/map-template-not-found"
    created = await create(api)
    path = f"/api/v1/maps/{created['id']}/touchpoints/nope/signal"
    answer = await api.put(path, json={"signal": {"event": "x"}})
    assert answer.json()["type"] == "/problems/touchpoint-not-found"


async def test_another_workspace_sees_nothing_of_a_map(api: httpx2.AsyncClient) -> None:
    created = await create(api)
    stranger = user_headers("orchestrator", uuid4())
    for path in ("", "/picture.svg"):
        answer = await api.get(f"/api/v1/maps/{created['id']}{path}", headers=stranger)
        assert answer.status_code == 404
    assert (await api.get("/api/v1/maps", headers=stranger)).json()["items"] == []
    assert (await api.delete(f"/api/v1/maps/{created['id']}", headers=stranger)).status_code == 404
