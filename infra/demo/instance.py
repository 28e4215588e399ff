"""An instance of Waymark of the demo's own: started, waited for, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from infra.runner.__main__ import IN_USE

_READY_SECONDS = 120.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.2


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


class InUse(DemoFailed):
    """Another instance runs on this data directory."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance; `credentials` is its `credentials.json`."""

    credentials: Path
    url: str
    write_key: str
    secret_key: str


@contextmanager
def running(data_dir: Path, log: Path) -> Iterator[Instance]:
    """Start on a free port, yield when ready, stop at the end whatever happened."""
    credentials = data_dir / "credentials.json"
    # The file of an earlier start names an earlier port, so only a newer one counts.
    before = credentials.stat().st_mtime_ns if credentials.exists() else None
    given = dict(os.environ)  # noqa: TID251 - handed on, not read
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.runner", "--tied"],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**given, "PORT": "0", "DATA_DIR": str(data_dir)},
            # Ctrl-C reaches the demo, which then stops the instance in order.
            process_group=0,
        )
    try:
        yield _await(process, credentials, before, log)
    finally:
        _stop(process)


def _await(
    process: subprocess.Popen[bytes], credentials: Path, before: int | None, log: Path
) -> Instance:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        found = _read(credentials, before)
        if found is not None and _ready(found.url):
            return found
        time.sleep(_POLL_SECONDS)
    if process.poll() == IN_USE:
        raise InUse(str(credentials.parent))
    said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise DemoFailed(f"the instance did not become ready, see {log}:\n{said}")


def _read(credentials: Path, before: int | None) -> Instance | None:
    try:
        if credentials.stat().st_mtime_ns == before:
            return None
        stored = json.loads(credentials.read_text(encoding="utf-8"))
        return Instance(credentials, stored["url"], stored["write_key"], stored["secret_key"])
    except (FileNotFoundError, ValueError):
        return None


def _ready(url: str) -> bool:
    """All services answer; "degraded" would do for ingestion, but not for the story."""
    try:
        return bool(httpx2.get(f"{url}/readyz", timeout=2.0).json()["status"] == "ready")
    except (httpx2.TransportError, ValueError, KeyError, TypeError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
