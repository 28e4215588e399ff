"""What computed traits remember of the past, over HTTP, as profile asks for it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pyarrow as pa
import pytest

from services.kit.clickhouse import ClickHouse
from services.rules.aggregates import EMPTY, Aggregate, State, aggregate_of, from_json, update
from services.tracking.aggregates import store
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.events_table import StoredRow, store_events, store_mapping
from tests.tracking.service import Running, Tracking, track

pytestmark = pytest.mark.anyio

START = datetime(2024, 3, 1, tzinfo=UTC)
REVENUE = {"kind": "sum", "event": "Buy", "property": "total"}
ITEMS = {"kind": "unique_list", "event": "Buy", "property": "item", "window": {"last_days": 30}}


def bought(subject_id: UUID, *totals: float, log_offset: int = 1) -> list[StoredRow]:
    return [
        StoredRow(
            subject_id,
            "Buy",
            START + timedelta(hours=n),
            {"total": total, "item": "书" if n % 2 else "pen"},
            log_offset=log_offset + n,
        )
        for n, total in enumerate(totals)
    ]


def live(aggregate: Aggregate, rows: list[StoredRow]) -> State:
    samples = (
        aggregate.sample(row.properties, int(row.occurred_at.timestamp() * 1000)) for row in rows
    )
    return update(EMPTY, aggregate, [sample for sample in samples if sample is not None])


@pytest.fixture
def events(tracking: Tracking, events_table: ClickHouse) -> tuple[ClickHouse, UUID]:
    return events_table, tracking.workspace_id


async def found(
    events: tuple[ClickHouse, UUID],
    aggregate: Aggregate,
    max_log_offset: int,
    subject_ids: list[UUID] | None = None,
) -> dict[str, State]:
    states = store.states(*events, aggregate, max_log_offset, subject_ids)
    batches = [batch async for batch in states]
    rows = pa.Table.from_batches(batches, store.SCHEMA).to_pylist()
    assert {row["aggregate_id"] for row in rows} <= {aggregate.aggregate_id}
    return {row["profile_id"]: from_json(row["state"], aggregate) for row in rows}


@embedded_and_cluster
@pytest.mark.parametrize("definition", [REVENUE, ITEMS])
async def test_people_have_the_states_that_live_counting_gives_them(
    events: tuple[ClickHouse, UUID], definition: dict[str, Any]
) -> None:
    aggregate = aggregate_of(definition)
    person, merged, other = uuid4(), uuid4(), uuid4()
    rows = {key: bought(key, 0.1, 0.2, 7) for key in (person, merged, other)}
    await store_events(*events, [row for each in rows.values() for row in each])
    await store_events(events[0], uuid4(), bought(person, 100))
    await store_mapping(*events, {merged: person})
    assert await found(events, aggregate, 9) == {
        str(person): live(aggregate, rows[person] + rows[merged]),
        str(other): live(aggregate, rows[other]),
    }
    until_two = [row for row in rows[person] + rows[merged] if row.log_offset <= 2]
    assert (await found(events, aggregate, 2))[str(person)] == live(aggregate, until_two)


@embedded_and_cluster
async def test_subjects_are_counted_each_by_itself_whoever_they_belong_to(
    events: tuple[ClickHouse, UUID],
) -> None:
    aggregate = aggregate_of(REVENUE)
    person, merged, other = uuid4(), uuid4(), uuid4()
    rows = {key: bought(key, 1, 2) for key in (person, merged, other)}
    await store_events(*events, [row for each in rows.values() for row in each])
    await store_mapping(*events, {merged: person})
    assert await found(events, aggregate, 9, [person, merged]) == {
        str(person): live(aggregate, rows[person]),
        str(merged): live(aggregate, rows[merged]),
    }


async def test_what_was_posted_is_answered_as_a_stream(both: Running) -> None:
    aggregate, items = aggregate_of(REVENUE), aggregate_of(ITEMS)
    batch = [track("u1", "Buy", properties={"total": total, "item": "pen"}) for total in (1, 2.5)]
    answer = await both.ingest.post("/v1/batch", json={"batch": [*batch, track("u2", "View")]})
    answer.raise_for_status()
    await both.loaded(3)
    asked = {aggregate.aggregate_id: REVENUE, items.aggregate_id: ITEMS}
    response = await ask(both.store, asked)
    with pa.ipc.open_stream(response.raise_for_status().content) as reader:
        rows = reader.read_all().to_pylist()
    states = {row["aggregate_id"]: row["state"] for row in rows}
    assert len(rows) == 2
    (partial,) = from_json(states[aggregate.aggregate_id], aggregate)
    assert partial == (0, (2, 3_500_000, 1, 2.5))
    assert from_json(states[items.aggregate_id], items)[0][1] == (("s", "pen", 0.0),)
    assert int(response.headers["x-log-offset"]) >= 1


async def ask(api: httpx2.AsyncClient, asked: dict[str, Any], **more: Any) -> httpx2.Response:
    return await api.post("/internal/v1/aggregates/query", json={"aggregates": asked, **more})


async def test_what_means_nothing_or_is_not_loaded_yet_is_refused(tracking: Tracking) -> None:
    aggregate = aggregate_of(REVENUE)
    async with tracking.store() as api:
        ahead = await ask(api, {aggregate.aggregate_id: REVENUE}, max_log_offset=7)
        assert (ahead.status_code, ahead.headers["retry-after"]) == (503, "1")
        other = await ask(api, {"a": REVENUE})
        assert other.json()["errors"][0]["pointer"] == "#/aggregates/a"
        bare = await ask(api, {"a": {"kind": "sum", "event": "Buy"}})
        assert bare.json()["errors"][0]["pointer"] == "#/aggregates/a/property"
