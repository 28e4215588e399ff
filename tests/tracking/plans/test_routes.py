"""Tracking plans over HTTP: made, activated, felt by ingestion, searched and replayed."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.support.app import service_headers, user_headers
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.service import Running, eventually, track

pytestmark = pytest.mark.anyio

PLANS = "/api/v1/tracking-plans"
ORDER = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}},
}


def document(schema: dict[str, Any] | None = None, **policies: str) -> dict[str, Any]:
    return {"events": {"Order": {"schema": ORDER if schema is None else schema}}, **policies}


async def create(store: httpx2.AsyncClient, **policies: str) -> str:
    body = {"name": f"Plan {uuid4()}", "document": document(None, **policies)}
    response = await store.post(PLANS, json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def activate(both: Running, plan_id: str, mode: str, version: int | None = None) -> None:
    """Returns when ingestion acts on it."""
    body = {"mode": mode, "version": version}
    response = await both.store.put(f"{PLANS}/{plan_id}/sources/web", json=body)
    assert response.status_code == 200, response.text
    await in_force(both)


async def in_force(both: Running) -> None:
    """Waits until ingestion acts on the newest settings."""
    ((newest,),) = await both.tracking.sql("SELECT max(revision) FROM source_setting")

    async def felt() -> bool:
        text = (await both.ingest.get("/metrics")).text
        return f"\nwaymark_plans_revision {float(newest)}\n" in text

    await eventually(felt, within=5, what="the plan in force")


async def order(both: Running, **properties: Any) -> httpx2.Response:
    return await both.ingest.post("/v1/track", json=track(event="Order", properties=properties))


async def test_a_plan_is_versioned_and_read_back_as_written(both: Running) -> None:
    plan_id = await create(both.store)
    newer = document({"type": "object", "required": ["id"]}, unplanned_events="violation")
    answer = await both.store.post(f"{PLANS}/{plan_id}/versions", json=newer)
    assert (answer.status_code, answer.json()["version"]) == (201, 2)
    whole = (await both.store.get(f"{PLANS}/{plan_id}")).json()
    assert [v["version"] for v in whole["versions"]] == [2, 1]
    assert whole["document"]["unplanned_events"] == "violation"
    first = (await both.store.get(f"{PLANS}/{plan_id}/versions/1")).json()
    assert first["document"]["events"]["Order"]["schema"] == ORDER
    other = await create(both.store)
    page = (await both.store.get(PLANS, params={"limit": 1})).json()
    rest = (await both.store.get(PLANS, params={"cursor": page["next_cursor"]})).json()
    assert [p["id"] for p in page["items"] + rest["items"]] == [plan_id, other]


async def test_an_idempotency_key_makes_one_plan_and_a_name_is_unique(both: Running) -> None:
    body = {"name": "Shop", "document": document()}
    headers = {"Idempotency-Key": "k1"}
    made = [await both.store.post(PLANS, json=body, headers=headers) for _ in range(2)]
    assert made[0].json() == made[1].json()
    taken = await both.store.post(PLANS, json=body)
    assert (taken.status_code, taken.json()["type"]) == (
        409,
        "/problems/tracking-plan-name-taken",
    )


@embedded_and_cluster
async def test_observing_accepts_and_the_violation_is_found(both: Running) -> None:
    plan_id = await create(both.store)
    await activate(both, plan_id, "observe")
    assert (await order(both, total="9")).status_code == 200
    assert (await order(both, total=9)).status_code == 200
    await both.loaded(2)
    items = (await both.store.get(f"{PLANS}/{plan_id}/violations")).json()["items"]
    (found,) = items
    assert (found["event"], found["version"], found["quarantined_id"]) == ("Order", 1, None)
    assert found["violations"][0]["field"] == "/properties/total"


async def test_quarantine_is_quiet_and_block_is_told(both: Running) -> None:
    plan_id = await create(both.store)
    await activate(both, plan_id, "quarantine")
    assert (await order(both)).status_code == 200
    await activate(both, plan_id, "block")
    blocked = await order(both, total="x")
    assert (blocked.status_code, blocked.json()["code"]) == (400, "tracking_plan_violated")
    assert blocked.json()["errors"][0]["pointer"] == "#/properties/total"
    batch = {"batch": [track(event="Order"), track(event="Order", properties={"total": 1})]}
    assert (await both.ingest.post("/v1/batch", json=batch)).status_code == 200
    assert len(await both.tracking.logged()) == 1
    assert await both.tracking.quarantined() == [
        ("plan_violation", "#/properties/total"),
        ("plan_blocked", "#/properties/total"),
        ("plan_blocked", "#/batch/0/properties/total"),
    ]
    pages: list[list[dict[str, Any]]] = []
    cursor = None
    while cursor is not None or not pages:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await both.store.get(f"{PLANS}/{plan_id}/violations", params=params)).json()
        pages.append(page["items"])
        cursor = page["next_cursor"]
    assert [len(items) for items in pages] == [2, 1]
    assert len({item["quarantined_id"] for items in pages for item in items}) == 3


async def test_no_plan_keeps_back_what_a_service_says_as_a_whole(both: Running) -> None:
    await activate(both, await create(both.store), "block")
    headers = service_headers("profile", "tracking", both.tracking.workspace_id)
    refused = []
    for whole in (False, True):
        answer = await both.ingest.post(
            "/internal/v1/events",
            params={"source_id": "web", "whole": whole},
            json={"batch": [track(event="Order", properties={"total": "x"})]},
            headers=headers,
        )
        refused.append(len(answer.json()["refused"]))
    assert refused == [1, 0]
    assert len(await both.tracking.logged()) == 1


async def test_quarantine_is_replayed_after_the_plan_is_corrected(both: Running) -> None:
    plan_id = await create(both.store)
    await activate(both, plan_id, "quarantine")
    for total in ("9", None, "9"):
        await order(both, **({"total": total} if total else {}))
    loose = document({"properties": {"total": {"type": "string"}}, "required": ["total"]})
    await both.store.post(f"{PLANS}/{plan_id}/versions", json=loose)
    await activate(both, plan_id, "quarantine")
    body = {"filter": {"reason": "plan_violation"}}
    done = (await both.store.post("/api/v1/quarantine/replay", json=body)).json()
    assert (done["replayed"], [r["reason"] for r in done["refused"]]) == (2, ["plan_violation"])
    # Without an id and a time of their own, each request was an event.
    await both.loaded(2)
    shown = (await both.store.get("/api/v1/quarantine", params={"replayed": False})).json()
    assert [v["type"] for v in shown["items"][0]["violations"]] == ["required_missing"]


async def test_deactivated_the_source_is_free_again(both: Running) -> None:
    plan_id = await create(both.store)
    await activate(both, plan_id, "block")
    assert (await order(both)).status_code == 400
    gone = await both.store.delete(f"{PLANS}/{plan_id}/sources/web")
    assert gone.status_code == 204

    async def free() -> bool:
        return (await order(both)).status_code == 200

    await eventually(free, within=5, what="the plan out of force")


async def test_a_plan_holds_its_own_source_and_workspace_only(both: Running) -> None:
    plan_id = await create(both.store)
    await activate(both, plan_id, "block")
    async with both.tracking.ingest("app") as app:
        response = await app.post("/v1/track", json=track(event="Order"))
        assert response.status_code == 200
    stranger = user_headers("tracking", uuid4())
    answer = await both.store.get(f"{PLANS}/{plan_id}", headers=stranger)
    assert answer.status_code == 404
    body = {"mode": "observe"}
    path = f"{PLANS}/{plan_id}/sources/web"
    assert (await both.store.put(path, json=body, headers=stranger)).status_code == 404


async def test_changes_at_the_same_time_are_all_seen_in_order(both: Running) -> None:
    plan_id = await create(both.store)
    await asyncio.gather(
        *(
            both.store.put(f"{PLANS}/{plan_id}/sources/s{i % 5}", json={"mode": "observe"})
            for i in range(20)
        )
    )
    sources = (await both.store.get(f"{PLANS}/{plan_id}")).json()["sources"]
    assert [s["source_id"] for s in sources] == [f"s{i}" for i in range(5)]
    await in_force(both)


@embedded_and_cluster
async def test_a_draft_is_inferred_and_can_be_made_a_plan(both: Running) -> None:
    batch = [track(event="Order", properties={"total": i, "sku": "s"}) for i in range(3)]
    await both.ingest.post("/v1/batch", json={"batch": [*batch, track(event="Seen")]})
    await both.loaded(4)
    answer = await both.store.post(f"{PLANS}/infer", json={"days": 1})
    assert answer.status_code == 200, answer.text
    draft = answer.json()
    assert [(e["event"], e["count"]) for e in draft["seen"]] == [("Order", 3), ("Seen", 1)]
    inferred = draft["document"]["events"]["Order"]["schema"]
    assert inferred["properties"] == {"sku": {"type": "string"}, "total": {"type": "integer"}}
    body = {"name": "Drafted", "document": draft["document"]}
    assert (await both.store.post(PLANS, json=body)).status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "document": document({"$ref": "file:///etc/passwd"})}, "schema/$ref"),
        ({"name": "x", "document": document({"type": "text"})}, "/Order/schema/type"),
        ({"name": "x", "document": {"events": {"": {}}}}, "#/document/events"),
        ({"name": "x", "document": document(unplanned_events="block")}, "unplanned_events"),
        ({"name": " ", "document": document()}, "#/name"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_at_its_place(
    both: Running, body: dict[str, Any], pointer: str
) -> None:
    response = await both.store.post(PLANS, json=body)
    assert response.status_code == 422
    assert pointer in response.json()["errors"][0]["pointer"]


async def test_what_does_not_exist_is_not_found(both: Running) -> None:
    absent = f"{PLANS}/{uuid4()}"
    plan_id = await create(both.store)
    for response in (
        await both.store.get(absent),
        await both.store.get(f"{absent}/violations"),
        await both.store.post(f"{absent}/versions", json=document()),
        await both.store.put(f"{absent}/sources/web", json={"mode": "omit"}),
        await both.store.put(f"{PLANS}/{plan_id}/sources/web", json={"mode": "omit", "version": 2}),
        await both.store.delete(f"{absent}/sources/web"),
    ):
        assert (response.status_code, response.json()["type"]) == (
            404,
            "/problems/tracking-plan-not-found",
        )
