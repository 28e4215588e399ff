"""Chooses what is behind the log's port by ``TRACKING_LOG_DSN``."""

from contextlib import AsyncExitStack

from services.kit.postgres import SessionMaker
from services.tracking.log.commit import GroupCommit
from services.tracking.log.port import Log, LogAppender
from services.tracking.log.postgres import PostgresLog
from services.tracking.settings import TrackingSettings


def appender(settings: TrackingSettings) -> LogAppender:
    # On Kafka too: refused events stay in PostgreSQL.
    commit = GroupCommit(settings.postgres_dsn.get_secret_value())
    target = settings.kafka
    if target is None:
        return commit
    # Only who uses it pays for its library.
    from services.tracking.log.kafka.append import KafkaAppender

    return KafkaAppender(target, commit)


def log(settings: TrackingSettings, maker: SessionMaker, stack: AsyncExitStack) -> Log:
    """Closed with ``stack``."""
    target = settings.kafka
    if target is None:
        return PostgresLog(maker, settings.postgres_dsn.get_secret_value())
    from services.tracking.log.kafka.read import KafkaLog

    found = KafkaLog(target)
    stack.push_async_callback(found.close)
    return found
