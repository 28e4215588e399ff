"""What ClickHouse can do to a loader over HTTP: after its repair every event is there, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.clickhouse import ClickHouse, ClickHouseError
from services.tracking.loader import worker
from services.tracking.loader.store import present
from services.tracking.log.store import to_load
from tests.support.app import user_headers
from tests.support.clickhouse import ClickHouseServer
from tests.tracking.loader.pipeline import Pipeline, events
from tests.tracking.service import Running, Tracking, eventually, track

pytestmark = pytest.mark.anyio

MEMORY = {"code": 241}
TOO_MANY_PARTS = {"code": 252, "text": "DB::Exception: Too many parts (3001). (TOO_MANY_PARTS)"}
TIMEOUT = {"code": 159, "text": "DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED)"}


@pytest.fixture
def clickhouse_kind() -> str:
    return "http"


@pytest.fixture
def clickhouse_dsn(clickhouse_dsn: str) -> str:
    """Of a client that soon gives up a server that hangs."""
    return f"{clickhouse_dsn}&send_receive_timeout=1"


@pytest.fixture
async def server(clickhouse_server: ClickHouseServer) -> AsyncIterator[ClickHouseServer]:
    yield clickhouse_server
    clickhouse_server.heal()


async def count_in_view(clickhouse: ClickHouse) -> None:
    """A view that would count a row again when it is inserted again."""
    await clickhouse.command(
        "CREATE TABLE counted (event String, n UInt64) ENGINE = SummingMergeTree "
        "ORDER BY event SETTINGS non_replicated_deduplication_window = 1000"
    )
    await clickhouse.command(
        "CREATE MATERIALIZED VIEW counting TO counted AS "
        "SELECT event, count() AS n FROM events GROUP BY event"
    )


async def counted(clickhouse: ClickHouse) -> int:
    rows = await clickhouse.query("SELECT sum(n) FROM counted")
    return int(rows[0][0])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut_before"},
        {"kind": "cut_after"},
        {"kind": "refuse", **MEMORY},
        {"kind": "refuse", **TOO_MANY_PARTS},
        {"kind": "refuse", **TIMEOUT},
    ],
)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_failed_insert_is_repeated_until_every_row_is_there_once(
    pipeline: Pipeline, server: ClickHouseServer, fault: dict[str, Any], times: int
) -> None:
    await count_in_view(pipeline.clickhouse)
    await pipeline.append(*events("a", "b", "c"))
    server.fail(**fault, times=times)
    # Executed and cut, it is found to be there: what was planned more meets the next block.
    for _ in range(1 if fault["kind"] == "cut_after" else times):
        with pytest.raises(ClickHouseError):
            await pipeline.loader().load_all()
    server.heal()
    await pipeline.append(*events("d"))
    restarted = pipeline.loader()
    while await restarted.load_all():
        pass
    assert await pipeline.stored() == ["a", "b", "c", "d"]
    assert await counted(pipeline.clickhouse) == 4
    assert await pipeline.tracking.quarantined() == []


async def test_a_block_is_not_looked_for_while_its_insert_may_still_arrive(
    pipeline: Pipeline, server: ClickHouseServer
) -> None:
    await count_in_view(pipeline.clickhouse)
    await pipeline.append(*events("a", "b", "c"))
    server.fail("hold")
    with pytest.raises(ClickHouseError):
        await pipeline.loader().load_all()
    # The client gave up; the server has not. Asked now, it would say that nothing is there.
    workspace_id = pipeline.tracking.workspace_id
    async with pipeline.maker.begin() as session:
        (partition,) = await to_load(session)
    block = partition.block
    assert block is not None
    with pytest.raises(ClickHouseError, match="QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"):
        await present(pipeline.clickhouse, workspace_id, block.block_id)
    with pytest.raises(ClickHouseError):
        await pipeline.loader().load_all()
    server.heal()

    async def over() -> bool:
        return not (await asyncio.to_thread(server.state))["running"]

    await eventually(over, what="the insert has ended")
    await pipeline.loader().load_all()
    assert await pipeline.stored() == ["a", "b", "c"]
    assert await counted(pipeline.clickhouse) == 3


async def accept(both: Running, *names: str) -> None:
    response = await both.ingest.post("/v1/batch", json={"batch": events(*names)})
    assert response.status_code == 200


async def readiness(both: Running) -> dict[str, str]:
    found: dict[str, str] = (await both.store.get("/readyz")).json()["checks"]
    return found


async def test_a_refusing_clickhouse_is_seen_and_waited_over(
    both: Running, server: ClickHouseServer
) -> None:
    server.fail("refuse", times=-1, **TOO_MANY_PARTS)
    await accept(both, "a", "b")

    async def seen() -> bool:
        return (await readiness(both))["workers"] != "ok"

    await eventually(seen, what="the loader says that it cannot work")
    await accept(both, "c")
    server.heal()
    await both.loaded(3)

    async def well() -> bool:
        return set((await readiness(both)).values()) == {"ok"}

    await eventually(well, what="the loader works again")
    assert await both.tracking.quarantined() == []


async def test_while_clickhouse_is_slow_events_are_accepted_and_blocks_grow_to_their_maximum(
    both: Running, server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BLOCK_EVENTS", 40)
    before = len(server.state()["rows"])
    server.fail("hold")
    await accept(both, "first")

    async def held() -> bool:
        return bool((await asyncio.to_thread(server.state))["held"])

    await eventually(held, what="the first insert hangs")
    for request in range(10):
        await accept(both, *(f"r{request}e{index}" for index in range(10)))
    server.heal()
    await both.loaded(101)
    blocks = server.state()["rows"][before:]
    # The one that was read ahead meanwhile is as large as the log was then.
    assert (sum(blocks), max(blocks)) == (101, 40)
    assert len(blocks) <= 5


async def test_a_clickhouse_that_was_killed_is_waited_for(
    tracking: Tracking, tmp_path: Path
) -> None:
    server = ClickHouseServer(tmp_path)
    server.start()
    mine = replace(tracking, clickhouse_dsn=server.dsn("default"))
    user = user_headers("tracking", mine.workspace_id)
    async with AsyncExitStack() as stack:
        stack.callback(server.kill)
        ingest = await stack.enter_async_context(mine.ingest())
        store = await stack.enter_async_context(mine.store())
        both = Running(ingest, store, mine)
        await accept(both, "a")
        await both.loaded(1)
        server.kill()
        await accept(both, "b", "c")

        async def seen() -> bool:
            checks = await readiness(both)
            return checks["workers"] != "ok" and checks["clickhouse"] != "ok"

        await eventually(seen, what="the store says that ClickHouse is away")
        answer = await store.get("/api/v1/events", headers=user)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        await asyncio.to_thread(server.start)
        await both.loaded(3)
        assert await mine.clickhouse("uniqExact(message_id)") == [(3,)]


async def test_a_poisoned_row_goes_to_quarantine_alone_after_faults_that_are_not_its_own(
    pipeline: Pipeline, server: ClickHouseServer
) -> None:
    await count_in_view(pipeline.clickhouse)
    await pipeline.clickhouse.command(
        "ALTER TABLE events ADD CONSTRAINT healthy CHECK event != 'Poison'"
    )
    await pipeline.append(*events("a"), track(messageId="bad", event="Poison"), *events("b"))
    server.fail("refuse", **MEMORY)
    with pytest.raises(ClickHouseError):
        await pipeline.loader().load_all()
    while await pipeline.loader().load_all():
        pass
    assert await pipeline.stored() == ["a", "b"]
    assert await counted(pipeline.clickhouse) == 2
    assert await pipeline.tracking.quarantined() == [("refused_by_store", "#/1/1")]
