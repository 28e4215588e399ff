"""The loader loses nothing and repeats nothing, whatever breaks around a block."""

import pytest

from services.kit.clickhouse import ClickHouseError, OperationalError
from services.tracking.loader.store import loaded_offset
from tests.support.clickhouse import embedded_and_cluster
from tests.tracking.loader.pipeline import Pipeline, events
from tests.tracking.service import Running, each_log, track

pytestmark = [pytest.mark.anyio, embedded_and_cluster]

VIEW = """
CREATE MATERIALIZED VIEW days ENGINE = SummingMergeTree ORDER BY day
SETTINGS non_replicated_deduplication_window = 1000
AS SELECT toDate(occurred_at) AS day, count() AS events FROM {events} GROUP BY day
"""


@each_log
@pytest.mark.parametrize("held", [0, 1, 2, 3])
async def test_a_block_cut_between_insert_and_commit_is_completed_not_repeated(
    pipeline: Pipeline, held: int
) -> None:
    await pipeline.append(*events("a", "b", "c"))
    pipeline.clickhouse.held = held
    with pytest.raises(OperationalError):
        await pipeline.loader().load_all()
    # More came meanwhile: it must not slip into the block that was begun.
    await pipeline.append(*events("d"))
    restarted = pipeline.loader()
    while await restarted.load_all():
        pass
    assert await pipeline.stored() == ["a", "b", "c", "d"]
    assert await loaded_offset(pipeline.maker, pipeline.tracking.workspace_id) == 2
    blocks = await pipeline.clickhouse.query("SELECT uniqExact(block_id) FROM events")
    assert blocks == [(2,)]


@pytest.mark.parametrize("missed", [True, False])
async def test_a_resumed_block_reaches_a_materialised_view_exactly_once(
    pipeline: Pipeline, stored_events: str, missed: bool
) -> None:
    """A kill between the events and the view leaves the view without the block (measured)."""
    view = VIEW.format(events=stored_events)
    await pipeline.append(*events("a", "b", "c"))
    if not missed:
        await pipeline.clickhouse.command(view)
    pipeline.clickhouse.held = 3
    with pytest.raises(OperationalError):
        await pipeline.loader().load_all()
    if missed:
        await pipeline.clickhouse.command(view)
    await pipeline.loader().load_all()
    assert await pipeline.stored() == ["a", "b", "c"]
    assert await pipeline.clickhouse.query("SELECT sum(events) FROM days") == [(3,)]


@each_log
@pytest.mark.parametrize("restart", [False, True])
async def test_blocks_prepared_ahead_are_loaded_once_and_in_order(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, restart: bool
) -> None:
    monkeypatch.setattr("services.tracking.loader.worker.BLOCK_EVENTS", 2)
    for number in range(6):
        await pipeline.append(*events(f"{number}a", f"{number}b"))
    loader = pipeline.loader()
    await loader.load_all()
    # The second block goes in by half while the third one is being prepared.
    pipeline.clickhouse.held = 1
    with pytest.raises(OperationalError):
        await loader.load_all()
    if restart:
        await loader.close()
        loader = pipeline.loader()
    await pipeline.append(*events("6a", "6b"))
    while await loader.load_all():
        pass
    assert await pipeline.stored() == [f"{number}{half}" for number in range(7) for half in "ab"]
    blocks = await pipeline.clickhouse.query(
        "SELECT min(log_offset), count() FROM events GROUP BY block_id ORDER BY 1"
    )
    assert blocks == [(number, 2) for number in range(1, 8)]


@each_log
async def test_an_event_that_clickhouse_refuses_is_quarantined_alone(
    pipeline: Pipeline, stored_events: str
) -> None:
    await pipeline.clickhouse.command(
        f"ALTER TABLE {stored_events} ADD CONSTRAINT healthy CHECK event != 'Poison'"
    )
    good = [f"good{i:02}" for i in range(20)]
    await pipeline.append(*events(*good[:7]), *events("bad", event="Poison"), *events(*good[7:]))
    loader = pipeline.loader()
    while await loader.load_all():
        pass
    assert await pipeline.stored() == good
    assert await pipeline.tracking.quarantined() == [("refused_by_store", "#/1/7")]


async def test_an_error_that_is_no_event_s_fault_quarantines_nothing(pipeline: Pipeline) -> None:
    await pipeline.append(*events("a", "b"))
    await pipeline.clickhouse.command("RENAME TABLE events TO away")
    for _ in range(2):
        with pytest.raises(ClickHouseError):
            await pipeline.loader().load_all()
    assert await pipeline.tracking.quarantined() == []
    await pipeline.clickhouse.command("RENAME TABLE away TO events")
    await pipeline.loader().load_all()
    assert await pipeline.stored() == ["a", "b"]


async def test_events_of_more_months_than_one_insert_may_span_go_in(pipeline: Pipeline) -> None:
    months = [f"{2015 + i // 12}-{i % 12 + 1:02}-15T00:00:00Z" for i in range(130)]
    named = [track(messageId=f"m{i:03}", timestamp=at) for i, at in enumerate(months)]
    await pipeline.append(*named, track(messageId="z", timestamp="1999-01-01T00:00:00Z"))
    await pipeline.loader().load_all()
    assert await pipeline.stored() == [f"m{i:03}" for i in range(130)] + ["z"]


@each_log
async def test_a_duplicate_never_reaches_clickhouse(pipeline: Pipeline) -> None:
    await pipeline.append(*events("a", "b", "a"))
    await pipeline.append(*events("b"))
    loader = pipeline.loader()
    while await loader.load_all():
        pass
    assert await pipeline.stored() == ["a", "b"]
    assert await loaded_offset(pipeline.maker, pipeline.tracking.workspace_id) == 2


@each_log
async def test_an_event_keeps_its_fields_on_the_way(both: Running) -> None:
    event = track(
        "u1",
        "Order Completed",
        anonymousId="an1",
        messageId="m1",
        timestamp="2026-11-22T06:17:14.860Z",
        sentAt="2026-11-22T06:17:15.360Z",
        properties={"revenue": 12.5, "名": "茶"},
        context={"locale": "zh-CN"},
    )
    await both.ingest.post("/v1/batch", json={"batch": [event]})
    await both.loaded(1)
    columns = (
        "source_id, message_id, type, event, user_id, anonymous_id, time_source, properties, "
        "context, revenue, toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(sent_at), "
        "log_offset, log_index, profile_id = subject_id"
    )
    assert await both.tracking.clickhouse(columns) == [
        (
            *("web", "m1", "track", "Order Completed", "u1", "an1", "original"),
            *('{"revenue":12.5,"名":"茶"}', '{"locale":"zh-CN"}', 12.5),
            *(1_795_328_234_860, 1_795_328_235_360, 1, 0, 1),
        )
    ]
