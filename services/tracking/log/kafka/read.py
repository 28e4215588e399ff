"""A log on the Kafka protocol, seen by its readers: no consumer group, positions stay ours.

Offsets are Kafka's plus one, so that 0 stands before the first row as it does in PostgreSQL.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from services.kit.feeds import FeedRow
from services.kit.problems import Unavailable
from services.tracking.log.kafka.cursor import Cursor
from services.tracking.log.kafka.target import Target
from services.tracking.log.port import Trimmed, workspace_of

log = structlog.get_logger(__name__)
T = TypeVar("T")

_START = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_END = OffsetSpec.latest()  # type: ignore[no-untyped-call]

ANSWER_SECONDS = 10.0
MAX_CURSORS = 4
"""Sequencer, loader, profile and one more read at a time, each where it was before."""
_TOPICS_SECONDS = 1.0
"""For so long the list of topics is believed: asking for thousands is not cheap."""
_LOOK_SECONDS = 0.1
_REST = 9
"""Between two looks at the ends, times what a look took: at most a tenth of a core goes into it."""


class KafkaLog:
    rewritable = False

    def __init__(self, target: Target) -> None:
        self._target = target
        self._admin = AdminClient(target.client)
        # Blocking calls have threads of their own: an outage must not fill the process's pool. As
        # many as there are cursors, so that whoever needs one finds one.
        self._threads = ThreadPoolExecutor(MAX_CURSORS, "kafka-log")
        self._lock = threading.Lock()
        self._idle: list[Cursor] = []
        self._made = 0
        self._partitions: tuple[float, dict[str, TopicPartition]] = (0.0, {})

    async def close(self) -> None:
        """Waits for reads under way."""
        await asyncio.to_thread(self._threads.shutdown)
        for cursor in self._idle:
            await asyncio.to_thread(cursor.close)

    async def ends(self, workspace_id: UUID | None = None) -> dict[str, int]:
        ends = await self._blocking(lambda: self._offsets(_END, workspace_id))
        # As in PostgreSQL there is no partition without a row.
        return {name: end for name, end in ends.items() if end}

    async def read(
        self, partition: str, after: int, until: int, *, rows: int, size: int
    ) -> list[FeedRow]:
        topic = self._target.topic(partition)
        return await self._blocking(lambda: self._read(topic, after, until, rows, size))

    async def appended_at_ms(self, partition: str, offset: int) -> int | None:
        end = await self._blocking(lambda: self._ask_one(partition, _END))
        if not 0 < offset <= end:
            return None
        found = await self.read(partition, offset - 1, offset, rows=1, size=0)
        return found[0].at if found else None

    async def trim(
        self, partition: str, until: int, *, before_ms: int | None, max_bytes: int | None
    ) -> Trimmed | None:
        if max_bytes is not None:
            raise ValueError("a broker does not tell how large a partition is")
        if before_ms is None:
            return None
        start = await self._blocking(lambda: self._ask_one(partition, _START))
        last = await self._last_before(partition, start, until, before_ms)
        if last <= start:
            return None
        await self._blocking(lambda: self._delete(partition, last))
        return Trimmed(last - start, last)

    async def watch(self, on_append: Callable[[], None]) -> None:
        seen: dict[str, int] | None = None
        while True:
            began = time.monotonic()
            try:
                ends = await self.ends()
            except Unavailable:
                ends = None
            if ends != seen:
                seen = ends
                on_append()
            await asyncio.sleep(max(_LOOK_SECONDS, (time.monotonic() - began) * _REST))

    async def _last_before(self, partition: str, start: int, until: int, before_ms: int) -> int:
        """The last of the rows in (``start``, ``until``] that are older; ``start`` if none is.

        By bisection, as times grow with offsets: a dozen rows are read, whatever there is.
        """
        low, high = start, until
        while low < high:
            middle = (low + high + 1) // 2
            at_ms = await self.appended_at_ms(partition, middle)
            if at_ms is not None and at_ms < before_ms:
                low = middle
            else:
                high = middle - 1
        return low

    async def _blocking(self, work: Callable[[], T]) -> T:
        """``Unavailable`` when the brokers do not answer."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except KafkaException as error:
            log.warning("log_read_failed", error=str(error))
            raise Unavailable("The event log does not answer.") from error

    def _offsets(self, spec: OffsetSpec, workspace_id: UUID | None) -> dict[str, int]:
        looked_at, known = self._partitions
        if time.monotonic() - looked_at > _TOPICS_SECONDS or not known:
            topics = self._admin.list_topics(timeout=ANSWER_SECONDS).topics
            named = ((self._target.partition(topic), topic) for topic in topics)
            known = {name: TopicPartition(topic, 0) for name, topic in named if name is not None}
            self._partitions = (time.monotonic(), known)
        asked = {
            name: place
            for name, place in known.items()
            if workspace_id is None or workspace_of(name) == workspace_id
        }
        return self._ask(asked, spec)

    def _ask_one(self, partition: str, spec: OffsetSpec) -> int:
        """At the start: our offset of the last row that was trimmed."""
        place = TopicPartition(self._target.topic(partition), 0)
        return self._ask({partition: place}, spec)[partition]

    def _ask(self, places: dict[str, TopicPartition], spec: OffsetSpec) -> dict[str, int]:
        if not places:
            return {}
        answers = self._admin.list_offsets(
            dict.fromkeys(places.values(), spec), request_timeout=ANSWER_SECONDS
        )
        return {name: answers[place].result().offset for name, place in places.items()}

    def _delete(self, partition: str, last: int) -> None:
        # Kafka's offset of the first row to stay.
        place = TopicPartition(self._target.topic(partition), 0, last)
        answers = self._admin.delete_records([place], request_timeout=ANSWER_SECONDS)
        for answer in answers.values():
            answer.result()

    def _read(self, topic: str, after: int, until: int, rows: int, size: int) -> list[FeedRow]:
        cursor = self._take(topic, after)
        try:
            return cursor.read(topic, after, until, rows, size, ANSWER_SECONDS)
        finally:
            with self._lock:
                self._idle.append(cursor)

    def _take(self, topic: str, after: int) -> Cursor:
        """The idle cursor that stands there, else a new one, else the one idle for longest."""
        with self._lock:
            for cursor in self._idle:
                if cursor.stands_at(topic, after):
                    self._idle.remove(cursor)
                    return cursor
            if self._made == MAX_CURSORS:
                return self._idle.pop(0)
            self._made += 1
        return Cursor(self._target)
