"""Waiting that ends at once when a child dies or somebody asks us to stop."""

import select
import signal
import socket
from types import FrameType, TracebackType
from typing import Any


class StopRequested(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived; raised only from `Signals.pause`, at a safe point."""


class Signals:
    """While entered: stop signals are remembered, and they and SIGCHLD end a `pause`."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._old: dict[signal.Signals, Any] = {}
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    def __enter__(self) -> "Signals":
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._old[each] = signal.signal(each, self._stop)
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._nothing)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(-1)
        for each, handler in self._old.items():
            signal.signal(each, handler)
        self._reader.close()
        self._writer.close()

    def pause(self, seconds: float) -> None:
        """Wait at most `seconds`; raises `StopRequested` once a stop signal was seen."""
        if not self.stop_requested:
            self.wait(seconds)
        if self.stop_requested:
            raise StopRequested

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds`, whatever was requested."""
        if select.select([self._reader], [], [], max(seconds, 0.0))[0]:
            self._reader.recv(4096)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stop_requested = True

    def _nothing(self, signum: int, frame: FrameType | None) -> None:
        # A handler of our own, because an ignored SIGCHLD would not wake the pause.
        return
