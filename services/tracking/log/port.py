"""The durable log as its users see it: append a request's events, read rows by offset.

A partition is named ``<workspace_id>`` (events) or ``<workspace_id>:outcomes``. Offsets start at 1
and have no gaps; a row becomes visible after all rows before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


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


@dataclass(frozen=True, slots=True)
class Append:
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


def events_partition(workspace_id: UUID) -> str:
    return str(workspace_id)


def outcomes_partition(workspace_id: UUID) -> str:
    return f"{workspace_id}:outcomes"


def is_outcomes(partition: str) -> bool:
    return partition.endswith(":outcomes")
