"""A progress bar on a terminal, and nothing anywhere else."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 30
_REDRAW_SECONDS = 0.2


class Bar:
    """One redrawn line: share of the records read, events acknowledged, rate, rejects."""

    def __init__(self, label: str, total: int, stream: TextIO = sys.stderr) -> None:
        self._label, self._total, self._stream = label, max(total, 1), stream
        self._live = stream.isatty()
        self._started, self._drawn = time.monotonic(), 0.0

    def show(self, done: int, sent: int, rejected: int, final: bool = False) -> None:
        """Redraw, at most five times a second; `done` is in the unit of the bar's total."""
        now = time.monotonic()
        if not self._live or (now - self._drawn < _REDRAW_SECONDS and not final):
            return
        self._drawn = now
        share = min(done / self._total, 1.0)
        bar = ("#" * round(share * _WIDTH)).ljust(_WIDTH, ".")
        rate = sent / max(now - self._started, 0.001)
        line = f"{self._label} [{bar}] {share:4.0%} {sent:,} sent {rate:,.0f}/s {rejected} rejected"
        self._stream.write(f"\r{line}\x1b[K" + ("\n" if final else ""))
        self._stream.flush()
