"""The DSN of a log on brokers: what is accepted, what is refused by name, how topics are called."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from services.tracking.log.kafka.target import Target, parse
from services.tracking.log.port import events_partition, outcomes_partition
from services.tracking.settings import TrackingSettings
from tests.support.app import signing_key, trusted_keys

WORKSPACE = UUID("0195d3a0-0000-7000-8000-000000000001")


@pytest.mark.parametrize(
    ("dsn", "target"),
    [
        ("kafka://b1:9092/wm", Target("b1:9092", "wm")),
        ("kafka://b1:9092,b2:9093/a.b_c-d/", Target("b1:9092,b2:9093", "a.b_c-d")),
        ("kafka://b1/wm?replication=1", Target("b1", "wm", 1, 1)),
        ("kafka://b1/wm?replication=5&min_insync=3", Target("b1", "wm", 5, 3)),
        ("kafka://b1/wm?create_topics=false", Target("b1", "wm", create_topics=False)),
        (
            "kafka://b1/wm?security.protocol=SASL_SSL&sasl.password=p%26w",
            Target("b1", "wm", security={"security.protocol": "SASL_SSL", "sasl.password": "p&w"}),
        ),
    ],
)
def test_a_dsn_is_read(dsn: str, target: Target) -> None:
    assert parse(dsn) == target
    assert target.client["bootstrap.servers"] == target.servers
    assert target.security.items() <= target.client.items()


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://b1/wm", "kafka://host:9092,host:9092/prefix"),
        ("kafka:///wm", "kafka://host:9092,host:9092/prefix"),
        ("kafka://me:secret@b1/wm", "go into its query"),
        ("kafka://b1:port/wm", "kafka://host:9092,host:9092/prefix"),
        ("kafka://b1:1,,b2:2/wm", "kafka://host:9092,host:9092/prefix"),
        ("kafka://b1/wm?sasl.password=secret#1", "write %23"),
        ("kafka://b1", "the prefix has"),
        ("kafka://b1/a/b", "the prefix has"),
        ("kafka://b1/wm?acks=1", "unknown option 'acks'; accepted are replication"),
        ("kafka://b1/wm?replication=many", "replication is a number"),
        ("kafka://b1/wm?replication=2&min_insync=3", "min_insync may not be more"),
        ("kafka://b1/wm?create_topics=maybe", "create_topics is true or false"),
    ],
)
def test_a_wrong_dsn_is_refused_by_name_and_never_repeated(dsn: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse(dsn)
    assert "secret" not in str(refused.value)


def test_every_partition_has_a_topic_and_other_topics_have_no_partition() -> None:
    target = Target("b1", "wm")
    topics = {
        events_partition(WORKSPACE): f"wm.{WORKSPACE}",
        outcomes_partition(WORKSPACE): f"wm.{WORKSPACE}.outcomes",
    }
    for partition, topic in topics.items():
        assert target.topic(partition) == topic
        assert target.partition(topic) == partition
    foreign = (
        "orders",
        "wm.orders",
        f"wm2.{WORKSPACE}",
        f"wm.{WORKSPACE}.x",
        f"wm.{WORKSPACE.hex}",
    )
    assert [target.partition(each) for each in foreign] == [None] * 5


def test_settings_refuse_a_wrong_dsn_and_a_limit_that_brokers_cannot_keep() -> None:
    given = {
        "role": "ingest",
        "postgres_dsn": "postgresql+asyncpg://nobody@/nothing",
        "signing_key": signing_key("tracking"),
        "trusted_keys": trusted_keys(),
    }
    assert TrackingSettings.model_validate(given).kafka is None
    with pytest.raises(ValidationError, match=r"log_dsn\n.*the prefix has") as refused:
        TrackingSettings.model_validate({**given, "log_dsn": "kafka://b1?sasl.password=secret"})
    assert "secret" not in str(refused.value)
    with pytest.raises(ValidationError, match="TRACKING_LOG_KEEP_DAYS"):
        TrackingSettings.model_validate(
            {**given, "log_dsn": "kafka://b1/wm", "log_max_bytes": 1_000_000}
        )
