"""The first workspace's keys, in `credentials.json` where a person and a script find them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.runner.files import read_json, write_private


@dataclass(frozen=True)
class Credentials:
    """What a client needs: where the gateway listens, and the keys of the first workspace."""

    url: str
    workspace_id: str
    write_key: str
    secret_key: str


def made(url: str, bootstrap_output: bytes) -> Credentials:
    """From what ``python -m gateway.bootstrap`` prints: one JSON object on the last line."""
    printed: dict[str, Any] = json.loads(bootstrap_output.splitlines()[-1])
    return Credentials(url, printed["workspace_id"], printed["write_key"], printed["secret_key"])


def load(path: Path, url: str) -> Credentials | None:
    """The stored credentials, moved to `url`; None before the first start.

    The file is written even where nothing changed: its time then says when this start was.
    """
    stored = read_json(path)
    if stored is None:
        return None
    credentials = Credentials(**{**stored, "url": url})
    save(path, credentials)
    return credentials


def save(path: Path, credentials: Credentials) -> None:
    write_private(path, json.dumps(asdict(credentials), indent=2) + "\n")
