"""Reads whole partitions of the log from their oldest row on, whatever the log is."""

from collections.abc import AsyncIterator, Mapping

from services.kit.feeds import MAX_PAGE_BYTES, FeedRow
from services.tracking.log.port import Log

_ROWS = 200


async def pages(log: Log, ends: Mapping[str, int]) -> AsyncIterator[tuple[str, list[FeedRow]]]:
    """(partition, some of its rows in order) until each partition is read to its end."""
    for partition, end in ends.items():
        after = 0
        while after < end and (
            rows := await log.read(partition, after, end, rows=_ROWS, size=MAX_PAGE_BYTES)
        ):
            yield partition, rows
            after = rows[-1].offset
