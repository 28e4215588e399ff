"""What only a log on brokers can do or suffer."""

import asyncio
from os import urandom

import pytest
from confluent_kafka import KafkaError

from services.kit.feeds import pack, unpack
from services.kit.problems import Unavailable
from services.tracking.log.kafka import append as kafka_append
from services.tracking.log.kafka import read as kafka_read
from services.tracking.log.kafka.append import KafkaAppender
from services.tracking.log.kafka.read import KafkaLog
from services.tracking.log.port import Append, Quarantined, events_partition
from tests.support.kafka import Brokers
from tests.tracking.service import KAFKA, Tracking, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("log_dsn", [KAFKA], indirect=True)]


def entry(tracking: Tracking, data: bytes, *refused: Quarantined) -> Append:
    workspace = tracking.workspace_id
    return Append(workspace, events_partition(workspace), 1, data, refused)


async def test_reading_goes_on_behind_what_was_trimmed(tracking: Tracking) -> None:
    """The test's brokers keep 5 MB of a partition; nothing else of them trims."""
    name, rows = events_partition(tracking.workspace_id), 12
    async with tracking.appender() as appender, tracking.log() as (_, log):
        for _ in range(rows):
            await appender.append(entry(tracking, urandom(900_000)))
        assert await log.ends() == {name: rows}
        left = [row.offset for row in await log.read(name, 0, rows, rows=rows, size=1 << 62)]
        assert left[0] > 1
        assert left == list(range(left[0], rows + 1))
        assert await log.read(name, 0, left[0] - 1, rows=rows, size=1 << 62) == []
        assert await log.appended_at_ms(name, 1) is None
        page = await log.read(name, 1, left[0] + 1, rows=rows, size=1 << 62)
        assert [row.offset for row in page] == left[:2]


async def test_few_cursors_serve_readers_of_many_places(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_read, "MAX_CURSORS", 2)
    name, rows = events_partition(tracking.workspace_id), 30
    async with tracking.appender() as appender, tracking.log() as (_, log):
        for number in range(rows):
            await appender.append(entry(tracking, pack([number])))

        async def page(after: int) -> list[int]:
            # Two rows fit: what was fetched with them must not turn up for the next reader.
            found = await log.read(name, after, rows, rows=10, size=2 * len(pack([1])))
            return [row.offset for row in found]

        pages = await asyncio.gather(*(page(after) for after in range(rows - 2)))
        assert pages == [[after + 1, after + 2] for after in range(rows - 2)]
        assert isinstance(log, KafkaLog)
        assert len(log._idle) <= 2


async def test_refused_events_of_a_request_that_was_not_taken_are_not_kept(
    tracking: Tracking, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_append, "DELIVERY_MS", 500)
    bad = Quarantined(tracking.workspace_id, "web", "invalid", "#/batch/1", "It is bad.", b"{}")
    async with tracking.appender() as appender:
        with brokers.silent(), pytest.raises(Unavailable):
            await appender.append(entry(tracking, pack(["good"]), bad))
    assert await tracking.quarantined() == []


async def test_a_request_whose_refused_events_cannot_be_kept_is_not_acknowledged(
    tracking: Tracking,
) -> None:
    poison = Quarantined(tracking.workspace_id, "web", "invalid", "#", "U+0000: \x00", b"")
    async with tracking.appender() as appender:
        with pytest.raises(Unavailable):
            await appender.append(entry(tracking, pack(["good"]), poison))
    # It is sent again, and its events are known by their ids then.
    assert [unpack(row.data, str) for row in await tracking.rows()] == [["good"]]


async def test_a_full_waiting_room_turns_requests_away(
    tracking: Tracking, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_append, "MAX_WAITING_KBYTES", 3)
    async with tracking.appender() as appender:
        with brokers.silent():
            first = asyncio.create_task(appender.append(entry(tracking, urandom(2_000))))
            await asyncio.sleep(0)
            with pytest.raises(Unavailable, match="behind"):
                await appender.append(entry(tracking, urandom(2_000)))
        await first


async def test_a_row_that_no_broker_takes_is_refused_alone(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_append, "MAX_ROW_BYTES", 2_000)
    async with tracking.appender() as appender:
        with pytest.raises(Unavailable, match="refused"):
            await appender.append(entry(tracking, urandom(3_000)))
        await appender.append(entry(tracking, urandom(1_000)))


async def test_a_producer_that_cannot_go_on_is_replaced(tracking: Tracking) -> None:
    async with tracking.appender() as appender:
        await appender.append(entry(tracking, pack(["a"])))
        assert isinstance(appender, KafkaAppender)
        appender._failed(KafkaError(KafkaError._FATAL, "fenced", fatal=True))

        async def replaced() -> bool:
            return appender._fatal is None

        await eventually(replaced, what="a new producer")
        await appender.append(entry(tracking, pack(["b"])))
    assert [unpack(row.data, str) for row in await tracking.rows()] == [["a"], ["b"]]
