"""The inventory of touchpoints over HTTP, on real stores."""

from typing import Any
from uuid import uuid4

import pytest

from tests.support.app import user_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.service import Running, track

pytestmark = pytest.mark.anyio

TOUCHPOINTS = "/api/v1/touchpoints"


async def inventory(both: Running, **params: Any) -> dict[str, Any]:
    response = await both.store.get(TOUCHPOINTS, params=params)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def planned(both: Running) -> None:
    """A plan of two events on the source web, of which one is sent, with one more."""
    body = {"name": "P", "document": {"events": {"View": {}, "Order": {"channels": ["web"]}}}}
    plan_id = (await both.store.post("/api/v1/tracking-plans", json=body)).json()["id"]
    path = f"/api/v1/tracking-plans/{plan_id}/sources/web"
    answer = await both.store.put(path, json={"mode": "observe", "channel": "web"})
    assert answer.status_code == 200
    batch = [track(event="View"), track(event="View"), track(event="Stray")]
    await both.ingest.post("/v1/batch", json={"batch": batch})
    await both.loaded(3)


@embedded_and_cluster
async def test_the_inventory_tells_seen_missing_and_unplanned(both: Running) -> None:
    await planned(both)
    hotline = {"name": "Hotline", "channel": "call_centre"}
    made = await both.store.post(TOUCHPOINTS, json=hotline)
    assert made.status_code == 201
    found = await inventory(both)
    assert found["coverage"] == {
        "planned": 3,
        "seen": 1,
        "missing": 2,
        "unplanned": 1,
        "share": pytest.approx(1 / 3),
    }
    assert [(t["name"], t["channel"], t["status"], t["count"]) for t in found["items"]] == [
        ("Hotline", "call_centre", "missing", 0),
        ("Order", "web", "missing", 0),
        ("Stray", "web", "unplanned", 1),
        ("View", "web", "seen", 2),
    ]
    missing = await inventory(both, status="missing", channel="web")
    assert [t["name"] for t in missing["items"]] == ["Order"]
    assert missing["coverage"]["planned"] == 3


async def test_the_inventory_is_paged(both: Running) -> None:
    await planned(both)
    first = await inventory(both, limit=2)
    rest = await inventory(both, limit=2, cursor=first["next_cursor"])
    assert [t["event"] for t in first["items"] + rest["items"]] == ["Order", "Stray", "View"]
    assert rest["next_cursor"] is None


async def test_a_channel_is_said_of_a_source_and_outlives_its_plan(both: Running) -> None:
    await planned(both)
    path = f"{TOUCHPOINTS}/sources/web"
    assert (await both.store.put(path, json={"channel": "mini_program"})).status_code == 200
    found = await inventory(both)
    assert {t["channel"] for t in found["items"]} == {"mini_program"}
    # Order is planned for the web only, so here nobody expects it any more.
    assert found["coverage"]["planned"] == 1
    wrong = await both.store.put(path, json={"channel": "pigeon"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "#/channel")


async def test_a_declared_touchpoint_can_be_removed_by_its_workspace(both: Running) -> None:
    body = {"name": "Till", "channel": "store", "event": "Paid"}
    headers = {"Idempotency-Key": "till"}
    made = [await both.store.post(TOUCHPOINTS, json=body, headers=headers) for _ in range(2)]
    assert made[0].json() == made[1].json()
    path = f"{TOUCHPOINTS}/{made[0].json()['id']}"
    stranger = user_headers("tracking", uuid4())
    assert (await both.store.delete(path, headers=stranger)).status_code == 404
    assert (await both.store.delete(path)).status_code == 204
    assert (await both.store.delete(path)).status_code == 404
    assert (await inventory(both))["coverage"]["share"] is None
