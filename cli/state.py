"""What an interrupted import has already delivered, kept in a small file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """Counters of one file up to its watermark: everything at or before `position` is settled.

    `rejects_bytes` is the length of the rejects file then, so that a resumed import can cut
    off what was written later and will be written again.
    """

    position: int = 0
    read: int = 0
    sent: int = 0
    rejected: int = 0
    rejects_bytes: int = 0


class StateFile:
    """A JSON object {key: progress}; a key names the content, the mapping and the target.

    Losing the file is harmless: message ids depend on content and line, so a second delivery of
    the same line is the same event.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, key: str) -> Progress:
        """The stored progress; a fresh one where there is none or it cannot be read."""
        entry = self._entries().get(key)
        try:
            return Progress(**entry) if isinstance(entry, dict) else Progress()
        except TypeError:
            return Progress()

    def save(self, key: str, progress: Progress) -> None:
        """Replace the stored progress in one step."""
        self._write({**self._entries(), key: asdict(progress)})

    def forget(self, key: str) -> None:
        """Drop a finished import; the last one takes the file with it."""
        self._write({k: v for k, v in self._entries().items() if k != key})

    def _entries(self) -> dict[str, Any]:
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return entries if isinstance(entries, dict) else {}

    def _write(self, entries: dict[str, Any]) -> None:
        if not entries:
            self._path.unlink(missing_ok=True)
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(entries), encoding="utf-8")
        temporary.replace(self._path)
