"""One supervised process: its start, its log, its restarts, its end."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic

from infra.runner.files import private_directory
from infra.runner.ports import LOOPBACK
from infra.runner.processes import Identity, identify
from infra.runner.topology import ChildSpec

LARGEST_LOG_BYTES = 10_000_000
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
# A child that lived this long is healthy again: its next death is restarted at once.
_HEALTHY_AFTER_S = 30.0


def start(
    arguments: Sequence[str],
    log: Path,
    defaults: Mapping[str, str],
    fixed: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a Python process that gets `defaults`, over them our own environment, then `fixed`."""
    given = dict(os.environ)  # noqa: TID251 - handed on, not read
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=stdin,
            stdout=stdout if stdout is not None else sink,
            stderr=sink,
            env={"PYTHONUNBUFFERED": "1", **defaults, **given, **(fixed or {})},
            # A group of its own, so that Ctrl-C in a terminal reaches only the runner.
            process_group=0,
        )


class Backoff:
    """How long to wait before the next start: doubled while the child keeps dying young."""

    def __init__(self) -> None:
        self._delay = _FIRST_DELAY_S

    def next(self, lived_s: float) -> float:
        """Seconds to wait, for a child that lived `lived_s` seconds."""
        if lived_s >= _HEALTHY_AFTER_S:
            self._delay = _FIRST_DELAY_S
        delay, self._delay = self._delay, min(self._delay * 2, _LONGEST_DELAY_S)
        return delay


class Child:
    """A service process. `poll` tells of a death once; `due` when to start it again."""

    def __init__(self, spec: ChildSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.due = 0.0
        self.unready = "not asked yet"
        self._backoff = Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def identity(self) -> Identity | None:
        return identify(self._process.pid) if self._process is not None else None

    def spawn(self, *, hold: bool = False) -> None:
        """Start it; with `hold` it loads its code and then waits for `release`."""
        self._started = monotonic()
        if "TMPDIR" in self.spec.fixed:
            _empty(Path(self.spec.fixed["TMPDIR"]))
        app = [self.spec.app, str(self.spec.port), str(os.getpid())]
        self._process = start(
            ["-m", "infra.runner.serve", *app],
            self.log,
            self.spec.defaults,
            self.spec.fixed,
            stdin=subprocess.PIPE if hold else subprocess.DEVNULL,
        )

    def release(self) -> None:
        """Let a held child go on."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    def poll(self) -> int | None:
        """The exit code of a child that has died since the last call (negative: the signal)."""
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            self._process = None
            self.due = monotonic() + self._backoff.next(monotonic() - self._started)
        return code

    def signal(self, signum: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signum)

    def ready(self) -> bool:
        """Whether ``/readyz`` answers 200; where it does not, ``unready`` says why."""
        connection = HTTPConnection(LOOPBACK, self.spec.port, timeout=5.0)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            self.unready = (
                "" if answer.status == 200 else answer.read(1000).decode(errors="replace")
            )
            return answer.status == 200
        except (OSError, HTTPException) as error:
            self.unready = f"no answer ({type(error).__name__})"
            return False
        finally:
            connection.close()

    def rotate_log(self) -> None:
        rotate(self.log)

    def last_words(self, lines: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _empty(scratch: Path) -> None:
    """What a killed process left there is gone before the next one starts."""
    shutil.rmtree(scratch, ignore_errors=True)
    private_directory(scratch)


def rotate(log: Path) -> None:
    """Keep one older file. The log is copied and emptied: its writers hold it open to append."""
    if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
        shutil.copyfile(log, log.with_suffix(".log.1"))
        os.truncate(log, 0)
