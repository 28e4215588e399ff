"""Gauges of the log: its end, and how far each reader is behind, per partition."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge

from services.tracking.log.store import Partition

LOG_END = Gauge(
    "waymark_log_readable_offset", "Last offset a reader may read.", ["reader", "partition"]
)
READER_LAG = Gauge(
    "waymark_log_reader_lag_rows", "Rows between a reader and what it may read.",
    ["reader", "partition"],
)  # fmt: skip
LOADED_EVENTS = Counter("waymark_loaded_events", "Events inserted into ClickHouse.")
TRIMMED_ROWS = Counter("waymark_log_trimmed_rows", "Rows removed from the log by its retention.")
POISONED_EVENTS = Counter("waymark_poisoned_events", "Events ClickHouse refused, in quarantine.")
SKIPPED_ITEMS = Counter(
    "waymark_webhook_skipped_items", "Items of webhooks that no rule of their mapping takes."
)
EXPIRED_EVENTS = Counter("waymark_expired_events", "Events removed by a workspace's policies.")
EXPIRED_REFUSALS = Counter("waymark_expired_quarantine", "Refused events removed by their age.")
PLANS_REVISION = Gauge(
    "waymark_plans_revision", "Revision of the sources' settings that this process acts on."
)


def observe(reader: str, partitions: Iterable[Partition]) -> None:
    for partition in partitions:
        LOG_END.labels(reader, partition.name).set(partition.limit)
        READER_LAG.labels(reader, partition.name).set(partition.limit - partition.position)
