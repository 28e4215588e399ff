"""The log is trimmed by age and size, and no reader ever misses a row by it."""

from collections.abc import AsyncIterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from services.contracts.events import Event
from services.kit.postgres import SessionMaker, workspace_tx
from services.tracking.log import port, postgres, store
from services.tracking.log.port import events_partition, outcomes_partition
from services.tracking.log.readers import Readers
from services.tracking.log.retention import Limits, Retention
from services.tracking.log.store import Partition
from tests.support.app import user_headers
from tests.tracking.service import Running, Tracking, each_log, eventually, track

pytestmark = pytest.mark.anyio

ROWS = 7
OLD = Limits(timedelta(days=30), None)


@dataclass
class Log:
    """A log of ``ROWS`` rows and readers whose positions a test sets."""

    tracking: Tracking
    maker: SessionMaker
    log: port.Log
    deleted: list[int]
    """What brokers were told: Kafka's offset of the oldest row to stay."""
    files: int = ROWS
    readers: Readers = field(init=False)

    def __post_init__(self) -> None:
        self.readers = Readers(self.maker, {"profile"})
        for reader in ("sequencer", "loader", "profile"):
            self.at(reader, ROWS)

    @property
    def name(self) -> str:
        return events_partition(self.tracking.workspace_id)

    def kept(self, partition: str) -> int:
        return self.files

    def at(self, reader: str, position: int) -> None:
        self.readers.note(reader, self.name, position, ROWS)

    async def trim(self, limits: Limits = OLD, *, days: int = 31) -> list[int]:
        """The offsets that are left ``days`` after the rows came."""

        def now() -> datetime:
            return datetime.now(UTC) + timedelta(days=days)

        await Retention(self.maker, self.log, self.readers, self, limits, now).trim_all()
        gone = max(self.deleted, default=0)
        return [row.offset for row in await self.tracking.rows() if row.offset > gone]


@pytest.fixture
async def log(tracking: Tracking, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    monkeypatch.setattr(postgres, "BATCH_ROWS", 2)
    deleted: list[int] = []

    def delete_records(
        _: AdminClient, places: list[TopicPartition], **__: float
    ) -> dict[TopicPartition, Future[None]]:
        """The brokers of the tests do not know this request: it is only looked at."""
        deleted.extend(place.offset for place in places)
        answer: Future[None] = Future()
        answer.set_result(None)
        return dict.fromkeys(places, answer)

    monkeypatch.setattr(AdminClient, "delete_records", delete_records)
    async with tracking.ingest() as ingest:
        for number in range(ROWS):
            await ingest.post("/v1/track", json=track(messageId=f"m{number}"))
    async with tracking.log() as (maker, opened):
        yield Log(tracking, maker, opened, deleted)


@each_log
async def test_rows_that_are_old_and_read_go(log: Log) -> None:
    assert await log.trim(days=29) == [1, 2, 3, 4, 5, 6, 7]
    assert await log.trim(Limits(None, None)) == [1, 2, 3, 4, 5, 6, 7]
    assert await log.trim(days=31) == []


@each_log
@pytest.mark.parametrize("slow", ["sequencer", "loader", "profile"])
async def test_a_slow_reader_holds_old_rows(log: Log, slow: str) -> None:
    log.at(slow, 3)
    assert await log.trim() == [4, 5, 6, 7]
    # It is set up anew and reads from the start: what is left stays for it.
    log.at(slow, 0)
    assert await log.trim(days=300) == [4, 5, 6, 7]
    log.at(slow, 6)
    assert await log.trim() == [7]


@each_log
async def test_a_reader_that_never_came_holds_everything(log: Log) -> None:
    log.readers = Readers(log.maker, {"profile", "warehouse"})
    assert len(await log.trim()) == ROWS


@each_log
async def test_ids_that_no_file_holds_yet_hold_their_rows(log: Log) -> None:
    log.files = 5
    assert await log.trim() == [6, 7]


@each_log
async def test_verdicts_go_with_their_rows(log: Log) -> None:
    async with workspace_tx(log.maker, log.tracking.workspace_id) as session:
        partition = Partition(log.name, 0, ROWS)
        await store.add_verdicts(session, partition, {2: b"\x01", 6: b"\x01"})
    log.at("loader", 4)
    assert await log.trim() == [5, 6, 7]
    assert await log.tracking.sql('SELECT "offset" FROM log_verdict') == [(6,)]


async def test_size_takes_the_oldest_rows_and_waits_for_readers_too(log: Log) -> None:
    sizes = [row[0] for row in await log.tracking.sql("SELECT octet_length(data) FROM log")]
    limits = Limits(None, sum(sizes[-2:]))
    log.at("loader", 2)
    assert await log.trim(limits) == [3, 4, 5, 6, 7]
    log.at("loader", ROWS)
    assert await log.trim(limits) == [6, 7]


async def test_readers_go_on_behind_what_was_trimmed(both: Running) -> None:
    tracking = both.tracking
    for number in range(3):
        await both.ingest.post("/v1/track", json=track(messageId=f"m{number}"))
    await both.loaded(3)
    await tracking.sql('DELETE FROM log WHERE "offset" < 3 RETURNING 1')
    page = await both.read(after=2)
    assert [e.message_id for row in page.rows for e in row.entries(Event)] == ["m2"]
    await both.ingest.post("/v1/track", json=track(messageId="m3"))
    await both.loaded(4)


@each_log
async def test_lag_tells_every_reader_of_the_caller_s_own_log(both: Running) -> None:
    await both.ingest.post("/v1/track", json=track(messageId="a"))
    await both.ingest.post("/v1/track", json=track(messageId="b"))
    await both.loaded(2)
    name = events_partition(both.tracking.workspace_id)
    headers = user_headers("tracking", both.tracking.workspace_id)

    async def positions(expected: int) -> dict[str, tuple[int, int, bool]]:
        answer = await both.store.get("/api/v1/events/lag", headers=headers)
        [partition] = answer.json()["partitions"]
        assert (partition["partition"], partition["kind"], partition["end"]) == (name, "events", 2)
        found = {
            r["reader"]: (r["position"], r["lag_rows"], r["waiting_since"] is not None)
            for r in partition["readers"]
        }
        return found if found["profile"][0] == expected else {}

    own = {"sequencer": (2, 0, False), "loader": (2, 0, False)}
    assert await positions(0) == {**own, "profile": (0, 2, True)}
    await both.store.get("/internal/v1/log", params={"partition": name, "after": 2, "done": 1})
    seen = await eventually(lambda: positions(1), what="profile's position")
    assert seen == {**own, "profile": (1, 1, True)}
    metrics = (await both.store.get("/metrics")).text
    assert f'waymark_log_reader_lag_rows{{partition="{name}",reader="profile"}} 1.0' in metrics
    other = user_headers("tracking", uuid4())
    foreign = await both.store.get("/api/v1/events/lag", headers=other)
    assert foreign.json() == {"partitions": []}


async def test_outcomes_wait_only_for_those_who_ever_read_them(log: Log) -> None:
    name = outcomes_partition(log.tracking.workspace_id)
    async with log.maker.begin() as session:
        assert await log.readers.positions(session, name) == {"sequencer": 0, "loader": 0}
    log.readers.note("profile", name, 4, 4)
    await log.readers.write()
    async with log.maker.begin() as session:
        assert (await log.readers.positions(session, name))["profile"] == 4
