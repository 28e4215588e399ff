"""Appends to a log on the Kafka protocol: a message is one request's row.

librdkafka groups what waits together into batches by itself. Its callbacks come from a thread that
does nothing but poll; they are carried to the event loop together.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec.structs import replace

from services.kit.problems import Unavailable
from services.tracking.log.kafka.target import Target
from services.tracking.log.kafka.topics import MAX_ROW_BYTES, Topics
from services.tracking.log.port import Append, LogAppender

log = structlog.get_logger(__name__)

DELIVERY_MS = 10_000
"""After so long without the brokers' word a request is turned away."""
MAX_WAITING_KBYTES = 64 * 1024
"""What may wait for the brokers; beyond it requests are turned away instead of filling memory."""
COUNT = "count"
"""The header that tells how many entries a row has."""
_POLL_SECONDS = 0.1
_LAST_WORDS_SECONDS = 5.0

_Told = tuple[asyncio.Future[None], KafkaError | None]


class ProducerFailed(Exception):
    """The producer cannot go on (its epoch was taken, for one): a new one is needed."""


class KafkaAppender:
    """``append`` from any request; ``run`` is the one task behind it."""

    def __init__(self, target: Target, quarantine: LogAppender) -> None:
        """``quarantine`` takes refused events: they stay in PostgreSQL."""
        self._target = target
        self._quarantine = quarantine
        self._topics = Topics(target)
        self._told: list[_Told] = []
        self._fatal: KafkaError | None = None
        self._producer: Producer | None = self._connect()

    async def append(self, request: Append) -> None:
        # This order: when the second fails the client sends all again, and repeated events are
        # dropped by their message ids, while nothing would drop a repeated row of the quarantine.
        if request.count:
            await self._produce(request)
        if request.quarantined:
            await self._quarantine.append(replace(request, count=0, data=b""))

    async def _produce(self, request: Append) -> None:
        topic = self._target.topic(request.partition)
        await self._topics.make(topic)
        if self._producer is None:
            raise Unavailable("The event log is closing.")
        done = asyncio.get_running_loop().create_future()

        def tell(error: KafkaError | None, _: Message) -> None:
            self._told.append((done, error))

        try:
            self._producer.produce(
                topic,
                request.data,
                str(request.workspace_id).encode(),
                partition=0,
                headers={COUNT: str(request.count).encode()},
                timestamp=time.time_ns() // 1_000_000,
                on_delivery=tell,
            )
        except BufferError as error:
            raise Unavailable("The log is behind; try again shortly.") from error
        except KafkaException as error:
            log.error("log_append_refused", error=str(error))
            raise Unavailable("The event log refused the request.") from error
        await done

    async def run(self) -> None:
        """Delivers for ever. Ends by cancellation or ``ProducerFailed``; what then waits is told
        so."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._quarantine.run())
            group.create_task(self._deliver())

    async def _deliver(self) -> None:
        producer = self._producer or self._connect()
        self._producer, self._fatal = producer, None
        stop, thread = threading.Event(), ThreadPoolExecutor(1, "kafka-deliveries")
        loop = asyncio.get_running_loop()
        serving = loop.run_in_executor(thread, self._serve, producer, stop, loop)
        try:
            await asyncio.shield(serving)
        finally:
            self._producer = None
            stop.set()
            await asyncio.wait({serving})
            thread.shutdown()

    def _connect(self) -> Producer:
        """Does not wait for brokers; what it is given before there are any waits in it."""
        return Producer(
            {
                **self._target.client,
                "acks": "all",
                "enable.idempotence": True,
                "message.timeout.ms": DELIVERY_MS,
                "linger.ms": 1,
                "queue.buffering.max.kbytes": MAX_WAITING_KBYTES,
                "message.max.bytes": MAX_ROW_BYTES,
                # Rows are compressed by us already.
                "compression.type": "none",
                "error_cb": self._failed,
            }
        )

    def _failed(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error

    def _serve(
        self, producer: Producer, stop: threading.Event, loop: asyncio.AbstractEventLoop
    ) -> None:
        while not stop.is_set() and self._fatal is None:
            producer.poll(_POLL_SECONDS)
            self._carry(loop)
        producer.purge()
        producer.flush(_LAST_WORDS_SECONDS)
        self._carry(loop)
        if self._fatal is not None:
            raise ProducerFailed(self._fatal.str())

    def _carry(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._told:
            told, self._told = self._told, []
            loop.call_soon_threadsafe(_tell, told)


def _tell(told: Sequence[_Told]) -> None:
    failed = [error for _, error in told if error is not None]
    if failed:
        log.warning("log_append_failed", error=failed[0].str(), requests=len(failed))
    for done, error in told:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(Unavailable("The event log does not answer."))
