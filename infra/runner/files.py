"""Small files that only their owner may read, replaced as a whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def private_directory(path: Path) -> Path:
    """Create `path` with mode 0700 if it is missing; an existing directory keeps its mode."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Write `text` with mode 0600; a crash leaves the old file or the new one, never half of it."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def read_json(path: Path) -> Any:
    """The file's JSON value; None when the file is missing or was damaged by a crash."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
