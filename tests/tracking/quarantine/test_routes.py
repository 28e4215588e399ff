"""Looking into the quarantine and replaying it, over HTTP on real stores."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from tests.support.app import user_headers
from tests.tracking.service import Running, Tracking, each_log, track

pytestmark = pytest.mark.anyio

QUARANTINE = "/api/v1/quarantine"


async def listed(store: httpx2.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await store.get(QUARANTINE, params=params)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def replay(store: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await store.post(f"{QUARANTINE}/replay", json=body)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


@pytest.fixture
async def two_sources(tracking: Tracking) -> AsyncIterator[Running]:
    """The store, and refused events of two sources: three, then one."""
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(tracking.ingest())
        app = await stack.enter_async_context(tracking.ingest("app"))
        store = await stack.enter_async_context(tracking.store())
        bad = [track(userId=""), {"type": "wink", "userId": "u1"}, track(event="")]
        await web.post("/v1/batch", json={"batch": [bad[0], track(), *bad[1:]]})
        await app.post("/v1/track", content=b'{"userId":"u1","event":"\xff"}')
        yield Running(web, store, tracking)


async def test_the_list_is_paged_newest_first_and_filtered(two_sources: Running) -> None:
    store = two_sources.store
    first = (await store.get(QUARANTINE, params={"limit": 3})).json()
    rest = await listed(store, limit=3, cursor=first["next_cursor"])
    assert [e["source_id"] for e in [*first["items"], *rest]] == ["app", "web", "web", "web"]
    assert [e["pointer"] for e in rest] == ["#/batch/0/userId"]
    assert len(await listed(store, source_id="web")) == 3
    assert len(await listed(store, reason="unknown_type")) == 1
    assert len(await listed(store, since=rest[0]["received_at"])) == 4
    assert await listed(store, since="2999-01-01T00:00:00Z") == []


async def test_one_is_shown_with_its_bytes(two_sources: Running) -> None:
    newest, *_, oldest = await listed(two_sources.store)
    shown = (await two_sources.store.get(f"{QUARANTINE}/{newest['id']}")).json()
    assert shown["raw"] is None
    assert base64.b64decode(shown["raw_base64"]) == b'{"userId":"u1","event":"\xff"}'
    shown = (await two_sources.store.get(f"{QUARANTINE}/{oldest['id']}")).json()
    assert '"userId":""' in shown["raw"].replace(" ", "")
    absent = await two_sources.store.get(f"{QUARANTINE}/999999")
    assert (absent.status_code, absent.json()["type"]) == (
        404,
        "/problems/quarantined-event-not-found",
    )


async def test_another_workspace_sees_and_replays_nothing(
    two_sources: Running, tracking: Tracking
) -> None:
    (newest, *_) = await listed(two_sources.store)
    two_sources.store.headers.update(
        user_headers("tracking", Tracking(tracking.database, "").workspace_id)
    )
    assert await listed(two_sources.store) == []
    assert (await two_sources.store.get(f"{QUARANTINE}/{newest['id']}")).status_code == 404
    assert (await replay(two_sources.store, filter={}))["replayed"] == 0


async def make_passable(tracking: Tracking) -> None:
    """As if what refused the events had been corrected: here, their bytes."""
    await tracking.sql(
        "UPDATE quarantine SET raw = convert_to("
        "replace(convert_from(raw, 'UTF8'), '\"wink\"', '\"track\"'), 'UTF8') "
        "WHERE reason = 'unknown_type' RETURNING id"
    )


async def test_what_passes_is_appended_once_and_the_rest_stays(both: Running) -> None:
    wink = {"type": "wink", "event": "Winked", "userId": "u1"}
    batch = {
        "batch": [track(), wink, wink, track(userId="")],
        "context": {"locale": "zh-CN"},
        "sentAt": "2026-11-22T06:17:15.360Z",
    }
    await both.ingest.post("/v1/batch", json=batch)
    await make_passable(both.tracking)
    first = await replay(both.store, filter={"source_id": "web"})
    assert (first["replayed"], first["events"]) == (2, 2)
    assert [(r["reason"], r["pointer"]) for r in first["refused"]] == [("missing_id", "#/userId")]
    again = await replay(both.store, filter={})
    assert (again["replayed"], len(again["refused"])) == (0, 1)
    events = await both.tracking.logged()
    assert [e.event for e in events] == ["Viewed", "Winked", "Winked"]
    # Identical events of one request stay two; what the batch said of them all is kept.
    assert events[1].message_id != events[2].message_id
    assert {(e.context, e.sent_at) for e in events} == {('{"locale":"zh-CN"}', 1_795_328_235_360)}
    await both.loaded(3)
    assert len(await listed(both.store, replayed=True)) == 2
    assert len(await listed(both.store, replayed=False)) == 1


@each_log
async def test_a_retried_request_is_replayed_to_the_same_ids(both: Running) -> None:
    wink = {"type": "wink", "event": "Winked", "userId": "u1"}
    for _ in range(2):
        await both.ingest.post("/v1/batch", json={"batch": [track(messageId="m"), wink]})
    await make_passable(both.tracking)
    assert (await replay(both.store, filter={}))["replayed"] == 2
    await both.loaded(2)


async def test_a_single_call_is_replayed_as_the_call_it_was(both: Running) -> None:
    await both.ingest.post("/v1/page", json={"name": "Pricing"})
    (refused,) = await listed(both.store)
    await both.tracking.sql(
        """UPDATE quarantine SET raw = '{"name":"Pricing","userId":"u1"}'::bytea RETURNING id"""
    )
    assert (await replay(both.store, ids=[refused["id"]]))["replayed"] == 1
    assert [(e.type, e.event) for e in await both.tracking.logged()] == [("page", "Page Viewed")]


@each_log
async def test_replays_at_the_same_time_do_not_append_twice(both: Running) -> None:
    winks = [{"type": "wink", "event": "Winked", "userId": f"u{i}"} for i in range(40)]
    await both.ingest.post("/v1/batch", json={"batch": winks})
    await make_passable(both.tracking)
    results = await asyncio.gather(*(replay(both.store, filter={}) for _ in range(4)))
    assert sum(r["replayed"] for r in results) == 40
    assert len(await both.tracking.logged()) == 40


async def test_the_surplus_of_a_batch_is_taken_apart(both: Running) -> None:
    events = [track() for _ in range(2_503)]
    events[2_501] = track(userId="")
    await both.ingest.post("/v1/batch", json={"batch": events})
    done = await replay(both.store, filter={"reason": "too_many_events"})
    assert (done["replayed"], done["events"]) == (1, 2)
    assert len({e.message_id for e in await both.tracking.logged()}) == 2_502
    (left,) = await listed(both.store, replayed=False)
    assert (left["reason"], left["pointer"]) == ("missing_id", "#/batch/2501/userId")


async def test_a_huge_shared_context_is_not_kept_with_every_event(both: Running) -> None:
    filler = {"filler": ["x" * 1_000 for _ in range(1_000)]}
    bad = [track(userId="") for _ in range(10)]
    await both.ingest.post("/v1/batch", json={"batch": bad, "context": filler})
    ((kept,),) = await both.tracking.sql("SELECT sum(octet_length(origin)) FROM quarantine")
    assert kept < 6_000_000
    (newest, *_) = await listed(both.store)
    refused = (await replay(both.store, ids=[newest["id"]]))["refused"]
    assert "too large to be kept" in refused[0]["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"ids": [1], "filter": {}}, 422),
        ({"ids": []}, 422),
        ({"ids": [0]}, 422),
        ({"ids": [2**63]}, 422),
        ({"filter": {"since": "2026-01-01T00:00:00"}}, 422),
        ({"filter": {"source": "x"}}, 422),
        ({"ids": [424242]}, 404),
    ],
)
async def test_a_wrong_replay_is_refused_by_name(
    both: Running, body: dict[str, Any], status: int
) -> None:
    response = await both.store.post(f"{QUARANTINE}/replay", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
