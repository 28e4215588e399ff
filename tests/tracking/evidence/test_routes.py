"""Evidence over HTTP: each indicator counted by hand."""

from typing import Any
from uuid import uuid4

import pytest

from services.contracts.evidence import Evidence
from tests.support.app import service_headers, user_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.plans.test_routes import in_force
from tests.tracking.service import Running, track

pytestmark = [pytest.mark.anyio, embedded_and_cluster]

PATH = "/internal/v1/evidence"


async def evidence(both: Running) -> Evidence:
    answer = await both.store.get(PATH)
    assert answer.status_code == 200, answer.text
    return Evidence.model_validate(answer.json())


def shares(found: Evidence) -> dict[str, tuple[int, int | None, int]]:
    return {i.id: (i.numerator, i.denominator, i.window_days) for i in found.indicators}


async def test_an_empty_workspace_has_no_evidence_but_answers(both: Running) -> None:
    found = await evidence(both)
    assert shares(found) == {
        "touchpoint_event_share": (0, 0, 30),
        "event_valid_rate": (0, 0, 7),
        "connected_sources": (0, None, 7),
        "identity_match_rate": (0, 0, 7),
        "multi_channel_profile_rate": (0, 0, 90),
    }
    assert [i.value for i in found.indicators] == [None, None, 0, None, None]
    assert (found.sources, found.last_at) == ([], None)


async def test_indicators_are_counted_over_what_arrived(both: Running) -> None:
    view = {"schema": {"required": ["page"]}}
    body = {"name": "P", "document": {"events": {"View": view, "Order": {}}}}
    plan_id = (await both.store.post("/api/v1/tracking-plans", json=body)).json()["id"]
    for source, channel in (("web", "web"), ("app", "app")):
        said = {"channel": channel}
        await both.store.put(f"/api/v1/touchpoints/sources/{source}", json=said)
    running = f"/api/v1/tracking-plans/{plan_id}/sources/web"
    await both.store.put(running, json={"mode": "observe"})
    await in_force(both)
    good = track("u1", "View", properties={"page": "/"})
    anonymous: dict[str, Any] = {"type": "track", "anonymousId": "a1", "event": "View"}
    batch = [good, track("u1", "View"), anonymous, track("", "View")]
    await both.ingest.post("/v1/batch", json={"batch": batch})
    async with both.tracking.ingest("app") as app:
        await app.post("/v1/track", json=track("u1", "Opened"))
    await both.loaded(4)
    found = await evidence(both)
    assert shares(found) == {
        "touchpoint_event_share": (1, 2, 30),
        # One passed; two broke the plan, one has no plan, one is in quarantine.
        "event_valid_rate": (1, 5, 7),
        "connected_sources": (2, None, 7),
        "identity_match_rate": (3, 4, 7),
        "multi_channel_profile_rate": (1, 2, 90),
    }
    by_source = {s.source_id: s for s in found.sources}
    web = by_source["web"]
    assert (web.channel, web.has_plan, web.events) == ("web", True, 3)
    assert (web.violations, web.quarantined) == (2, 1)
    assert not by_source["app"].has_plan
    assert found.last_at == max(s.last_at for s in found.sources if s.last_at is not None)


async def test_only_services_may_ask_and_only_about_their_workspace(both: Running) -> None:
    refused = await both.store.get(PATH, headers=user_headers("tracking", uuid4()))
    assert refused.status_code == 403
    nowhere = await both.store.get(PATH, headers=service_headers("assessment", "tracking"))
    assert nowhere.status_code == 403
