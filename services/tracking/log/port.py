"""The durable log as its users see it: append a request's events, read rows by offset, trim.

A partition is named ``<workspace_id>`` (events) or ``<workspace_id>:outcomes``. Offsets start at 1
and have no gaps; a row becomes visible after all rows before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from uuid import UUID

import msgspec

from services.kit.feeds import FeedRow

_OUTCOMES = ":outcomes"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One refused event: its bytes as they came, and why."""

    workspace_id: UUID
    source_id: str
    reason: str
    """Stable word such as ``too_large``."""
    pointer: str
    """JSON pointer into the request's body."""
    detail: str
    raw: bytes
    origin: bytes | None = None
    """What a replay needs beside ``raw``: JSON of ``quarantine.origin.Circumstances``."""
    violations: str | None = None
    """JSON of the tracking plan that refused it, and of what in it is wrong."""

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.raw) + len(self.origin or b"") + len(self.violations or "")


class Append(msgspec.Struct, frozen=True):
    """What one request adds. ``data`` is ``kit.feeds.pack`` of ``count`` entries; with ``count``
    0 only the quarantine grows."""

    workspace_id: UUID
    partition: str
    count: int
    data: bytes
    quarantined: Sequence[Quarantined] = ()


class LogAppender(Protocol):
    async def append(self, request: Append) -> None:
        """Returns once the request is durable. ``Unavailable`` when it may not be."""

    async def run(self) -> None:
        """The worker behind ``append``; ends only by cancellation."""


@dataclass(frozen=True, slots=True)
class Trimmed:
    rows: int
    last: int
    """Offset of the newest row that went."""


class Log(Protocol):
    """What was appended. How far its readers are and what they found is kept beside it, whatever
    the log is (``log.store``). Every method may raise what its server raises when it is away."""

    @property
    def rewritable(self) -> bool:
        """Whether its rows are those of our table ``log``, which an erasure writes anew."""

    async def ends(self, workspace_id: UUID | None = None) -> dict[str, int]:
        """Every partition, of one workspace or of all → offset of its newest row."""

    async def read(
        self, partition: str, after: int, until: int, *, rows: int, size: int
    ) -> list[FeedRow]:
        """Rows in (``after``, ``until``], at most ``rows`` of ``size`` bytes but at least one.

        ``until`` is not beyond the partition's end. Empty only when there are none. What was
        trimmed is passed over.
        """

    async def appended_at_ms(self, partition: str, offset: int) -> int | None:
        """None where there is no such row, or not any more."""

    async def trim(
        self, partition: str, until: int, *, before_ms: int | None, max_bytes: int | None
    ) -> Trimmed | None:
        """Removes the oldest rows up to ``until`` that were appended before ``before_ms`` (ms since
        the epoch) or exceed ``max_bytes`` of the partition; None when there are none."""

    async def watch(self, on_append: Callable[[], None]) -> None:
        """Calls for as long as it runs: soon after appends, and when some may have been missed."""


@lru_cache(maxsize=4096)
def events_partition(workspace_id: UUID) -> str:
    return str(workspace_id)


def outcomes_partition(workspace_id: UUID) -> str:
    return f"{workspace_id}{_OUTCOMES}"


def is_outcomes(partition: str) -> bool:
    return partition.endswith(_OUTCOMES)


def workspace_of(partition: str) -> UUID:
    """``ValueError`` for what is no partition's name."""
    return UUID(partition.removesuffix(_OUTCOMES))
