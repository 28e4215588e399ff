"""One instance per data directory."""

import fcntl
import json
import os
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Literal

from infra.runner.files import private_directory

State = Literal["starting", "ready", "stopping"]


class AlreadyRunning(Exception):
    """Another instance holds this data directory."""


class InstanceLock:
    """Holds `data_dir` until closed or until the process dies, however it dies.

    The kernel drops the lock with its holder, so nothing stale can ever refuse a start. An
    instance that is on its way out is waited for (`patience` seconds).
    """

    def __init__(self, data_dir: Path, patience: float = 20.0) -> None:
        self._data_dir = data_dir
        self._patience = patience
        self._fd = -1

    def __enter__(self) -> "InstanceLock":
        private_directory(self._data_dir)
        # Not inheritable (Python's default): a child must not keep the lock after us.
        self._fd = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = monotonic() + self._patience
        while not self._try():
            holder = self._holder()
            if holder.get("state") != "stopping" or monotonic() > deadline:
                os.close(self._fd)
                raise AlreadyRunning(self._refusal(holder))
            sleep(0.1)
        self.announce("starting")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def announce(self, state: State) -> None:
        """Say to others who holds the directory and what it is doing."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "state": state}).encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _holder(self) -> dict[str, Any]:
        try:
            holder = json.loads(os.pread(self._fd, 1000, 0))
        except json.JSONDecodeError:
            return {}
        return holder if isinstance(holder, dict) else {}

    def _refusal(self, holder: dict[str, Any]) -> str:
        return (
            f"Another Waymark (process {holder.get('pid', 'unknown')}) is running on "
            f"{self._data_dir}. Stop it, or choose another directory: make run "
            "DATA_DIR=.data2 PORT=8081"
        )
