"""Makes a partition's topic before its first row, with the settings the log rests on."""

import asyncio

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from services.kit.problems import Unavailable
from services.tracking.log.kafka.target import Target

log = structlog.get_logger(__name__)

MAX_ROW_BYTES = 32 * 1024 * 1024
"""More than any request's events take in the log."""
_CREATE_SECONDS = 5.0


class Topics:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._admin = AdminClient(target.client)
        self._made: dict[str, asyncio.Task[None]] = {}

    async def make(self, topic: str) -> None:
        """Returns once the topic is there; asks for each only once. ``Unavailable`` if not made."""
        if not self._target.create_topics:
            return
        making = self._made.get(topic)
        if making is None:
            making = self._made[topic] = asyncio.create_task(self._make(topic))
        # Others may wait for the same topic when this request is given up.
        await asyncio.shield(making)

    async def _make(self, topic: str) -> None:
        try:
            await asyncio.to_thread(self._create, topic)
        except KafkaException as error:
            del self._made[topic]
            log.warning("log_topic_not_made", topic=topic, error=str(error))
            raise Unavailable("The event log does not answer.") from error

    def _create(self, topic: str) -> None:
        wanted = NewTopic(
            topic,
            num_partitions=1,
            replication_factor=self._target.replication,
            config={
                "cleanup.policy": "delete",
                # Only we know which rows every reader is done with.
                "retention.ms": "-1",
                "retention.bytes": "-1",
                "min.insync.replicas": str(self._target.min_insync),
                "message.timestamp.type": "CreateTime",
                "max.message.bytes": str(MAX_ROW_BYTES),
            },
        )
        created = self._admin.create_topics([wanted], request_timeout=_CREATE_SECONDS)
        try:
            created[topic].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
