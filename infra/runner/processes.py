"""Which processes belong to a data directory, and how to end them without hitting a stranger."""

import signal
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

# A process id is reused sooner or later (in containers at once), its start time is not; the
# tolerance covers the clock ticks in which kernels count.
_SAME_START_S = 0.5


@dataclass(frozen=True)
class Identity:
    """One process for all time: its id and when it started (seconds since the epoch)."""

    pid: int
    started: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def identify(pid: int) -> Identity | None:
    """The identity of a running process, None when it is gone."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def find(identity: Identity) -> psutil.Process | None:
    """The process if it still runs and is not another one with the same id."""
    try:
        process = psutil.Process(identity.pid)
        same = abs(process.create_time() - identity.started) < _SAME_START_S
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def working_in(directory: Path) -> list[psutil.Process]:
    """All processes whose working directory is `directory` (Postgres and its backends: PGDATA)."""
    wanted = str(directory.resolve())
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def send(processes: Iterable[psutil.Process], signum: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(signum)
        except psutil.NoSuchProcess:
            continue


def end(
    processes: Sequence[psutil.Process], steps: Sequence[tuple[signal.Signals, float]]
) -> list[psutil.Process]:
    """Send each step's signal and wait its seconds; returns those that outlived every step."""
    alive = list(processes)
    for signum, seconds in steps:
        if not alive:
            break
        send(alive, signum)
        _, alive = psutil.wait_procs(alive, timeout=seconds)
    return alive
