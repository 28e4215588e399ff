"""A whole Waymark for a test: the real runner on a directory and a port of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from infra.runner.processes import Identity, find
from tests.support.waiting import until

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 240.0
"""Longer than the runner itself waits, which knows better what did not come up."""
RUNNER = (sys.executable, "-m", "infra.runner")


class Instance:
    """`with Instance(tmp_path / "data") as waymark:` starts it, and stops it at the end.

    `port=0` takes a free one; `command` may be another way to start the same (`make run`).
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        command: Sequence[str] = RUNNER,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._command = command
        own = {"DATA_DIR": str(data_dir), "PORT": str(port), **(environment or {})}
        self._environment = {**os.environ, **own}  # noqa: TID251 - handed on, not read
        self._output = output or data_dir.with_name(f"{data_dir.name}.out")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Instance":
        running = self.process is not None and self.process.poll() is None
        return self if running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    @property
    def output(self) -> str:
        """What the runner printed since its last start."""
        return self._output.read_text() if self._output.exists() else ""

    @property
    def credentials(self) -> dict[str, str]:
        stored: dict[str, str] = json.loads((self.data_dir / "credentials.json").read_text())
        return stored

    @property
    def processes(self) -> dict[str, psutil.Process]:
        """The running processes by name (gateway, tracking-store, postgres, …)."""
        recorded: dict[str, Any] = json.loads((self.data_dir / "run/processes.json").read_text())
        found = {name: find(Identity(**each)) for name, each in recorded.items()}
        return {name: process for name, process in found.items() if process is not None}

    def running(self, name: str) -> psutil.Process:
        """A process by name, as soon as it runs (it may just be between two lives)."""
        found = until(lambda: self.processes.get(name), within=30.0, what=f"{name} runs")
        assert found is not None
        return found

    def launch(self) -> "Instance":
        """Start it without waiting for anything."""
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=REPOSITORY,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def start(self) -> "Instance":
        """Start it and wait until it says that it is ready."""
        process = self.launch().process

        def ready_or_dead() -> bool:
            return "Waymark is ready" in self.output or (
                process is not None and process.poll() is not None
            )

        try:
            until(ready_or_dead, within=START_SECONDS, what="Waymark is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}\n{self._last_words()}") from None
        assert process is not None
        assert process.poll() is None, self.output
        return self

    def _last_words(self, lines: int = 10) -> str:
        """The ends of its processes' logs."""
        logs = sorted((self.data_dir / "logs").glob("*.log"))
        ends = {log.name: log.read_text(errors="replace").splitlines()[-lines:] for log in logs}
        return "\n".join(f"{name}: {line}" for name, end in ends.items() for line in end)

    @property
    def unplanned(self) -> str:
        """What its processes logged of errors they had no answer for, with their traces."""
        logs = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(
            f"{log.name}: {line}"
            for log in logs
            for line in log.read_text(errors="replace").splitlines()
            if "unhandled_error" in line
        )

    def stop(self, signum: signal.Signals = signal.SIGTERM, within: float = 15.0) -> int:
        """Send `signum`, wait for the end, return the exit code."""
        assert self.process is not None
        self.process.send_signal(signum)
        return self.wait(within)

    def wait(self, within: float) -> int:
        """Wait for its end, return the exit code."""
        assert self.process is not None
        return self.process.wait(within)
