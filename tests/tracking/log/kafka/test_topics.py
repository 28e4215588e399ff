"""Topics are made as the log needs them."""

import asyncio
from concurrent.futures import Future
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from services.kit.problems import Unavailable
from services.tracking.log.kafka.target import Target
from services.tracking.log.kafka.topics import Topics
from services.tracking.log.port import events_partition

pytestmark = pytest.mark.anyio


async def test_a_topic_is_made_once_before_its_first_row_and_lives_by_our_hand_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The brokers of the tests do not know the request: it is only looked at."""
    asked: list[NewTopic] = []
    answers = [
        KafkaError(KafkaError._TIMED_OUT),
        KafkaError(KafkaError.TOPIC_ALREADY_EXISTS),
    ]

    def create_topics(_: AdminClient, topics: list[NewTopic], **__: float) -> object:
        asked.extend(topics)
        answer: Future[None] = Future()
        answer.set_exception(KafkaException(answers.pop(0)))
        return {topics[0].topic: answer}

    monkeypatch.setattr(AdminClient, "create_topics", create_topics)
    target = Target("127.0.0.1:1", "wm", replication=3, min_insync=2)
    topics, name = Topics(target), target.topic(events_partition(uuid4()))
    results = await asyncio.gather(*(topics.make(name) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    await asyncio.gather(*(topics.make(name) for _ in range(3)))
    assert len(asked) == 2
    topic = asked[0]
    assert (topic.topic, topic.num_partitions, topic.replication_factor) == (name, 1, 3)
    wanted = {"retention.ms": "-1", "retention.bytes": "-1", "min.insync.replicas": "2"}
    assert topic.config is not None
    assert wanted.items() <= topic.config.items()
