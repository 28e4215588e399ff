"""R11: the disk of PostgreSQL, then that of ClickHouse, has no room left."""

import errno
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.chaos.producer import Producer
from tests.chaos.world import World
from tests.support.waiting import until

SIZE_MB = 400
_FULL_SECONDS = 120.0
_FREE_SECONDS = 120.0
_REFUSAL_SECONDS = 2.0
_CHUNK = bytes(1024 * 1024)


class CannotMount(Exception):
    """This machine does not let us mount a file system; the message is what it said."""


class SmallDisk:
    """A file system in memory at ``path`` that can be filled to its last byte."""

    def __init__(self, path: Path, size_mb: int = SIZE_MB) -> None:
        self._path = path
        self._size_mb = size_mb
        self._ballast = path / "ballast"

    def __enter__(self) -> "SmallDisk":
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m,mode=0700", "tmpfs", self._path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _run("umount", "--lazy", self._path)

    def fill(self) -> None:
        """Takes all the room there is."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (len(_CHUNK), 4096):
                try:
                    while file.write(_CHUNK[:size]):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        self._ballast.unlink()


def run(world: World, disks: dict[str, SmallDisk], seed: int, *, refusals: int) -> dict[str, Any]:
    """``disks``: ``postgres`` and ``chdb`` of the world. PostgreSQL's stays full until
    ``refusals`` requests were refused; seconds from full to refused and from free to accepted."""
    began = time.monotonic()
    with world.producer(f"R11-{seed}", largest_batch=200, connections=16) as producer:
        _await_acknowledged(producer, 1000)
        before = producer.ledger.answers["503"]
        disks["chdb"].fill()
        _await_acknowledged(producer, 5000)
        disks["chdb"].free()
        refused_by_clickhouse = producer.ledger.answers["503"] - before
        disks["postgres"].fill()
        full_at = time.monotonic()
        _await_refusals(producer, 1)
        refused_at = time.monotonic()
        # Tables meet the end of the disk first. The write-ahead log's end is worse: a panic.
        died = not world.databases.write_wal(SIZE_MB)
        _await_refusals(producer, refusals)
        disks["postgres"].free()
        free_at = time.monotonic()
        _await_acknowledged(producer, 1)
        accepted_at = time.monotonic()
        _await_acknowledged(producer, 1000)
        producer.end()
    restarts = world.instance.output.count("postgres ended")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "refused_while_clickhouse_was_full": refused_by_clickhouse,
        "full_to_refused_seconds": round(refused_at - full_at, 1),
        "free_to_accepted_seconds": round(accepted_at - free_at, 1),
        "postgres_died": died,
        "postgres_restarts": restarts,
    }


def _await_acknowledged(producer: Producer, more: int) -> None:
    known = producer.ledger.acknowledged_events
    until(
        lambda: producer.ledger.acknowledged_events >= known + more,
        within=_FREE_SECONDS,
        what=f"{more} more events acknowledged",
    )


def _await_refusals(producer: Producer, more: int) -> None:
    known = producer.ledger.answers["503"]
    until(
        lambda: producer.ledger.answers["503"] >= known + more,
        # A request may wait as long as the gateway has patience with a database that is gone.
        within=_FULL_SECONDS + _REFUSAL_SECONDS * more,
        what=f"{more} more requests refused",
    )


def _run(*command: str | Path) -> None:
    if os.geteuid() != 0:
        raise CannotMount("only root may mount a small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotMount(done.stderr.strip())
