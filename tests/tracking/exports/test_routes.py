"""Exports of events over HTTP, from a real ClickHouse."""

import asyncio
import csv
import gc
import io
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from services.kit.clickhouse import ClickHouse, Columns
from services.tracking.exports import store
from services.tracking.exports.service import Exports
from services.tracking.exports.store import Selection
from services.tracking.streaming import PiecewiseAnswer
from tests.support.app import service_headers, user_headers
from tests.tracking.events_table import StoredRow, store_events, store_mapping
from tests.tracking.service import Running, eventually, track

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, tzinfo=UTC)
BOMB = "=cmd|' /C calc'!A0"


async def _export(both: Running, **params: Any) -> Any:
    headers = user_headers("tracking", both.tracking.workspace_id)
    return await both.store.get("/api/v1/exports/events", params=params, headers=headers)


async def test_events_are_exported_under_the_profile_they_belong_to(both: Running) -> None:
    first, second = uuid4(), uuid4()
    clickhouse = await ClickHouse.open(both.tracking.clickhouse_dsn)
    rows = [StoredRow(s, "Viewed", START, {"price": 7}) for s in (first, second)]
    await store_events(clickhouse, both.tracking.workspace_id, rows)
    await store_events(clickhouse, uuid4(), [StoredRow(first, "Foreign", START)])
    await store_mapping(clickhouse, both.tracking.workspace_id, {second: first})
    await clickhouse.close()
    answer = await _export(both)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="events.parquet"'
    table = pq.read_table(pa.BufferReader(answer.content)).to_pylist()
    assert {row["profile_id"] for row in table} == {str(first)}
    assert {row["subject_id"] for row in table} == {str(first), str(second)}
    assert [row["properties"] for row in table] == ['{"price": 7}'] * 2
    assert [row["occurred_at"] for row in table] == [START] * 2


async def test_all_events_of_one_person_are_exported_for_profile(both: Running) -> None:
    ada, bob, workspace_id = uuid4(), uuid4(), both.tracking.workspace_id
    clickhouse = await ClickHouse.open(both.tracking.clickhouse_dsn)
    rows = [StoredRow(s, n, START) for s, n in ((ada, BOMB), (ada, "Viewed"), (bob, "Sold"))]
    await store_events(clickhouse, workspace_id, rows)
    await clickhouse.close()
    answer = await both.store.post(
        "/internal/v1/exports/person",
        json={"profile_ids": [str(ada)]},
        headers=service_headers("profile", "tracking", workspace_id),
    )
    assert answer.status_code == 200, answer.text
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert {line["event"] for line in lines} == {"'" + BOMB, "Viewed"}
    assert {line["subject_id"] for line in lines} == {str(ada)}


async def test_what_is_asked_for_is_exported(both: Running) -> None:
    for name, day in (("Viewed", 1), ("Bought", 2), ("Bought", 3), (BOMB, 4)):
        event = track(event=name, messageId=f"m{day}", timestamp=f"2026-03-0{day}T00:00:00Z")
        await both.ingest.post("/v1/track", json=event)
    await both.loaded(4)

    async def ids(**params: Any) -> list[str]:
        answer = await _export(both, format="arrow", **params)
        table = pa.ipc.open_stream(answer.content).read_all()
        return sorted(table["message_id"].to_pylist())

    assert await ids() == ["m1", "m2", "m3", "m4"]
    assert await ids(event="Bought") == ["m2", "m3"]
    assert await ids(since="2026-03-02T00:00:00Z", until="2026-03-03T00:00:00Z") == ["m2"]
    assert await ids(source_id="app") == []
    assert await ids(source_id="web", event="Viewed") == ["m1"]
    sheet = await _export(both, format="csv", event=BOMB)
    assert f'"\'{BOMB}"' in sheet.text
    assert (await _export(both, format="ndjson", event="Viewed")).json()["event"] == "Viewed"


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"format": "xlsx"}, "#/query/format"),
        ({"since": "2026-03-01T00:00:00"}, "#/query/since"),
        ({"event": ""}, "#/query/event"),
    ],
)
async def test_wrong_parameters_are_named(
    both: Running, params: dict[str, str], pointer: str
) -> None:
    answer = await _export(both, **params)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


async def _many(clickhouse: ClickHouse, workspace_id: UUID, rows: int) -> None:
    await clickhouse.command(
        "INSERT INTO events (workspace_id, source_id, message_id, type, event, subject_id,"
        " occurred_at, original_at, received_at, properties, traits, context)"
        " SELECT {w:UUID}, 'web', toString(number), 'track', 'E', {w:UUID},"
        " toDateTime64({at:Int64} + number, 3, 'UTC'), now64(3), now64(3),"
        " randomPrintableASCII(300), '{}', '{}' FROM numbers({rows:UInt64})",
        {"w": workspace_id, "rows": rows, "at": int(START.timestamp())},
    )


@pytest.mark.parametrize("kind", ["parquet", "csv"])
async def test_memory_does_not_grow_with_the_export(
    events_table: ClickHouse, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tracking.exports.formats.ROW_GROUP_ROWS", 10_000)
    seen: list[int] = []

    def block(columns: Columns) -> pa.RecordBatch:
        # What is read is Python's memory, what is written Arrow's.
        seen.append(tracemalloc.get_traced_memory()[0] + pa.total_allocated_bytes())
        return make_block(columns)

    make_block = store.block
    monkeypatch.setattr(store, "block", block)

    async def held(rows: int) -> tuple[int, int]:
        """(the most bytes that were held at once, bytes of the file)"""
        workspace_id = uuid4()
        await _many(events_table, workspace_id, rows)
        gc.collect()
        before = pa.total_allocated_bytes()
        seen.clear()
        tracemalloc.start()
        file = Exports(events_table).file(workspace_id, Selection(), kind)
        size = sum([len(piece) async for piece in file])
        tracemalloc.stop()
        return max(seen) - before, size

    small, large = await held(40_000), await held(200_000)
    assert large[1] > 4 * small[1]
    assert large[0] < 1.5 * small[0]


async def test_a_client_that_goes_away_stops_the_query(events_table: ClickHouse) -> None:
    workspace_id = uuid4()
    await _many(events_table, workspace_id, 300_000)
    exports = Exports(events_table)
    file = exports.file(workspace_id, Selection(), "arrow")
    assert await anext(file)
    second = exports.file(workspace_id, Selection(), "arrow")
    with pytest.raises(Exception, match="still running"):
        await anext(second)
    await file.aclose()

    async def none_runs() -> bool:
        rows = await events_table.query(
            "SELECT count() FROM system.processes WHERE query LIKE '%profile_id, toString(subj%'"
            " AND query NOT LIKE '%system.processes%'"
        )
        return rows == [(0,)]

    await eventually(none_runs, what="the end of the query")
    again = exports.file(workspace_id, Selection(event="none"), "arrow")
    assert await anext(again)
    await again.aclose()


@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_an_answer_that_nobody_reads_closes_its_file(version: str) -> None:
    closed = False

    async def pieces() -> AsyncGenerator[bytes, None]:
        nonlocal closed
        try:
            while True:
                yield b"piece"
        finally:
            closed = True

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        if message["type"] == "http.response.body" and version == "2.4":
            raise OSError("the client is gone")

    scope: Scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": version}}
    rest = pieces()
    answer = PiecewiseAnswer(await anext(rest), rest, "text/csv")
    with suppress(ClientDisconnect):
        await answer(scope, receive, send)
    assert closed
