"""Search, timelines, scans and leaf states over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pyarrow as pa
import pytest

from services.contracts.rules import EventNode, SequenceNode
from services.kit.clickhouse import ClickHouse
from services.rules import EMPTY, LeafState, event_node, leaf_of, update
from services.tracking.events import store
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events_table import StoredRow, store_events, store_mapping
from tests.tracking.service import Tracking

pytestmark = pytest.mark.anyio

START = datetime(2024, 3, 1, tzinfo=UTC)


@asynccontextmanager
async def store_with(
    tracking: Tracking, rows: list[StoredRow], profile_of: dict[UUID, UUID]
) -> AsyncIterator[httpx2.AsyncClient]:
    async with tracking.store() as api:
        clickhouse = await tracking.open_clickhouse()
        await store_events(clickhouse, tracking.workspace_id, rows)
        await store_events(clickhouse, uuid4(), rows)
        await store_mapping(clickhouse, tracking.workspace_id, profile_of)
        await clickhouse.close()
        yield api


def hourly(subject_id: UUID, event: str, count: int) -> list[StoredRow]:
    return [
        StoredRow(
            subject_id, event, START + timedelta(hours=i), {"i": i}, log_offset=i + 1, log_index=3
        )
        for i in range(count)
    ]


async def pages(api: httpx2.AsyncClient, path: str, **params: Any) -> list[list[dict[str, Any]]]:
    found = []
    while True:
        answer = (await api.get(path, params=params)).raise_for_status().json()
        found.append(answer["items"])
        if answer["next_cursor"] is None:
            return found
        params["cursor"] = answer["next_cursor"]


@embedded_and_cluster
async def test_search_pages_newest_first_without_gap_or_repeat(tracking: Tracking) -> None:
    rows = hourly(uuid4(), "View", 5) + hourly(uuid4(), "Buy", 2)
    async with store_with(tracking, rows, {}) as api:
        found = await pages(api, "/api/v1/events", event="View", limit=2)
        assert [[e["properties"]["i"] for e in page] for page in found] == [[4, 3], [2, 1], [0]]
        windowed = await pages(
            api,
            "/api/v1/events",
            since=(START + timedelta(hours=1)).isoformat(),
            until=(START + timedelta(hours=2)).isoformat(),
        )
        assert sorted(e["event"] for e in windowed[0]) == ["Buy", "View"]


@embedded_and_cluster
async def test_a_timeline_joins_what_happened_before_and_after_a_merge(tracking: Tracking) -> None:
    anonymous, known, stranger = uuid4(), uuid4(), uuid4()
    rows = hourly(anonymous, "View", 2) + hourly(known, "Buy", 2) + hourly(stranger, "View", 1)
    async with store_with(tracking, rows, {anonymous: known}) as api:
        for asked in (known, anonymous):
            (page,) = await pages(api, f"/api/v1/profiles/{asked}/events")
            assert [e["event"] for e in page].count("View") == 2
            assert page[0]["traits"] == {}
            assert len(page) == 4
            assert {e["profile_id"] for e in page} == {str(known)}


@embedded_and_cluster
async def test_a_scan_gives_every_event_in_order_of_time(tracking: Tracking) -> None:
    person, merged = uuid4(), uuid4()
    rows = hourly(person, "View", 3) + hourly(merged, "Buy", 3) + hourly(person, "Other", 3)
    outcome = StoredRow(person, "View", START, type="outcome")
    async with store_with(tracking, [*rows, outcome], {merged: person}) as api:
        body: dict[str, Any] = {"events": ["View", "Buy"], "limit": 4}
        seen: list[dict[str, Any]] = []
        while True:
            answer = await api.post("/internal/v1/events/scan", json=body)
            seen += pa.ipc.open_stream(answer.raise_for_status().content).read_all().to_pylist()
            if "x-next-cursor" not in answer.headers:
                break
            body["cursor"] = answer.headers["x-next-cursor"]
    assert len(seen) == 6
    assert len({row["message_id"] for row in seen}) == 6
    assert [row["occurred_at_ms"] for row in seen] == sorted(row["occurred_at_ms"] for row in seen)
    assert {row["profile_id"] for row in seen} == {str(person)}


LEAVES = (
    event_node(leaf_of({"event": "Buy", "window": {"last_days": 30}})),
    event_node(leaf_of({"sequence": [{"event": "Buy"}, {"event": "Buy"}]})),
)


@embedded_and_cluster
@pytest.mark.parametrize("node", LEAVES)
async def test_leaf_states_count_what_the_log_offset_allows(
    tracking: Tracking, node: EventNode | SequenceNode
) -> None:
    person, merged = uuid4(), uuid4()
    leaf = leaf_of(node)
    rows = hourly(person, "Buy", 3) + hourly(merged, "Buy", 2)
    async with store_with(tracking, rows, {merged: person}) as api:
        answer = await api.post(
            "/internal/v1/rules/query",
            json={"leaves": {leaf.leaf_id: node.model_dump(mode="json", by_alias=True)}},
        )
        table = pa.ipc.open_stream(answer.raise_for_status().content).read_all()
        # Nothing came through the log, so the loader stands at 0 and nothing may be counted.
        assert answer.headers["x-log-offset"] == "0"
        assert table.num_rows == 0
        ahead = await api.post(
            "/internal/v1/rules/query",
            json={
                "leaves": {leaf.leaf_id: node.model_dump(mode="json", by_alias=True)},
                "max_log_offset": 7,
            },
        )
        assert ahead.status_code == 503
        assert ahead.headers["retry-after"] == "1"


@embedded_and_cluster
@pytest.mark.parametrize("node", LEAVES)
async def test_leaf_states_are_those_of_the_rule_library(
    tracking: Tracking, events_table: ClickHouse, node: EventNode | SequenceNode
) -> None:
    person, merged = uuid4(), uuid4()
    leaf = leaf_of(node)
    await store_events(
        events_table, tracking.workspace_id, hourly(person, "Buy", 3) + hourly(merged, "Buy", 2)
    )
    await store_mapping(events_table, tracking.workspace_id, {merged: person})
    table = await store.leaf_states(events_table, tracking.workspace_id, leaf, 2)
    (row,) = table.to_pylist()
    assert (row["leaf_id"], row["profile_id"]) == (leaf.leaf_id, str(person))
    state = LeafState.from_wire([row[k] for k in ("total", "first", "last", "recent", "buckets")])
    hour_ms = 3_600_000
    start_ms = int(START.timestamp() * 1000)
    assert state == update(
        EMPTY, leaf, [start_ms, start_ms, start_ms + hour_ms, start_ms + hour_ms]
    )


@embedded_and_cluster
async def test_leaf_states_of_named_subjects_are_counted_whatever_the_map_says(
    tracking: Tracking, events_table: ClickHouse
) -> None:
    person, merged, device, stranger = (uuid4() for _ in range(4))
    leaf = leaf_of({"event": "Buy"})
    rows = [r for each in (person, merged, device, stranger) for r in hourly(each, "Buy", 1)]
    await store_events(events_table, tracking.workspace_id, rows)
    await store_mapping(events_table, tracking.workspace_id, {merged: person, device: person})
    subjects = {person: [person], merged: [merged, device]}
    table = await store.leaf_states(events_table, tracking.workspace_id, leaf, 9, subjects)
    counted = {row["profile_id"]: row["total"] for row in table.to_pylist()}
    assert counted == {str(person): 1, str(merged): 2}


@pytest.mark.parametrize(
    ("path", "params", "pointer"),
    [
        ("/api/v1/events", {"since": "2024-01-01T00:00:00"}, "#/query/since"),
        ("/api/v1/events", {"cursor": "nonsense"}, "#/query/cursor"),
        ("/api/v1/events", {"limit": "9999999999999999999999"}, "#/query/limit"),
        ("/api/v1/profiles/no-uuid/events", {}, "#/path/profile_id"),
    ],
)
async def test_wrong_parameters_are_named(
    tracking: Tracking, path: str, params: dict[str, str], pointer: str
) -> None:
    async with tracking.store() as api:
        answer = await api.get(path, params=params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer
