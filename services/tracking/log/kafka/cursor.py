"""One consumer that reads one topic at a time and remembers where it stands. Blocking."""

import time
from collections import deque

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from services.kit.feeds import FeedRow
from services.tracking.log.kafka.append import COUNT
from services.tracking.log.kafka.target import Target

_CHUNK_ROWS = 100
_CHUNK_SECONDS = 0.05
_AHEAD_KBYTES = 8 * 1024
"""What is fetched ahead of the reader, in memory."""


class Cursor:
    def __init__(self, target: Target) -> None:
        self._consumer = Consumer(
            {
                **target.client,
                # The client asks for a name; the group itself is never joined.
                "group.id": f"{target.prefix}.unused",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                # Where rows were trimmed, reading goes on with the oldest that is left.
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": _AHEAD_KBYTES,
                # A new place is read once the last fetch of the old one has come back.
                "fetch.wait.max.ms": 100,
            }
        )
        self._place: tuple[str, int] | None = None
        self._ahead: deque[FeedRow] = deque()
        self._end = 0
        """Up to where the topic was seen to go since it was taken up."""

    def close(self) -> None:
        self._consumer.close()

    def stands_at(self, topic: str, after: int) -> bool:
        return self._place == (topic, after)

    def read(
        self, topic: str, after: int, until: int, rows: int, size: int, seconds: float
    ) -> list[FeedRow]:
        """As ``log.port.Log.read``; ``KafkaException`` when it is not done in ``seconds``."""
        if not self.stands_at(topic, after):
            self._consumer.assign([TopicPartition(topic, 0, after)])
            self._ahead.clear()
            self._end = 0
        self._place = None
        found: list[FeedRow] = []
        last, deadline = after, time.monotonic() + seconds
        while len(found) < rows and last < until:
            if not self._ahead:
                if self._end >= until:
                    # All up to there was delivered: what did not come is trimmed.
                    return found
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "no rows came"))
                self._fetch(min(rows - len(found), until - last, _CHUNK_ROWS), last)
                continue
            row = self._ahead[0]
            if row.offset > until or (found and len(row.data) > size):
                break
            found.append(self._ahead.popleft())
            last, size = row.offset, size - len(row.data)
        self._place = (topic, last)
        return found

    def _fetch(self, rows: int, after: int) -> None:
        for message in self._consumer.consume(rows, _CHUNK_SECONDS):
            error, offset = message.error(), message.offset() or 0
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._end = offset
            elif error is not None:
                raise KafkaException(error)
            elif offset < after:
                # The brokers lost rows that were read, and the client began anew.
                raise KafkaException(KafkaError(KafkaError.OFFSET_OUT_OF_RANGE, "rows are gone"))
            else:
                self._ahead.append(_row(offset, message))


def _row(offset: int, message: Message) -> FeedRow:
    headers = dict(message.headers() or [])
    return FeedRow(
        offset + 1, int(headers[COUNT] or 0), message.timestamp()[1], message.value() or b""
    )
