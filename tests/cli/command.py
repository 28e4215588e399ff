"""The `import` command over one directory, as a test drives it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from tests.cli.server import WRITE_KEY

MAPPING = {
    "type": "track",
    "user": {"userId": "who"},
    "event": {"column": "what"},
    "time": {"column": "at"},
    "properties": {"remaining": True},
}


def line(number: int, **more: Any) -> str:
    return json.dumps(
        {"who": f"u{number}", "what": "Bought", "at": "2026-01-02T03:04:05Z", "n": number} | more
    )


class Import:
    """The command over one directory, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.map(MAPPING)

    def map(self, mapping: dict[str, Any]) -> None:
        (self.folder / "map.yaml").write_text(yaml.safe_dump(mapping))

    def write(self, name: str, text: str | bytes) -> Path:
        data = text.encode() if isinstance(text, str) else text
        (self.folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return self.folder / name

    def arguments(self, url: str, *paths: Path | str) -> list[str]:
        files = [str(path) for path in paths if isinstance(path, Path)]
        options = [path for path in paths if isinstance(path, str)]
        fixed = ["--mapping", str(self.folder / "map.yaml"), "--url", url, "--json"]
        quick = ["--retry-base", "0.001", "--rejects", str(self.folder / "rejects.ndjson")]
        key = [] if "--write-key" in options else ["--write-key", WRITE_KEY]
        return ["import", *files, *fixed, *key, *quick, *options]

    def run(self, url: str, *paths: Path | str) -> tuple[int, dict[str, Any], str]:
        code = main(self.arguments(url, *paths))
        out, err = self._capsys.readouterr()
        return code, json.loads(out) if out else {}, err

    def rejects(self) -> list[dict[str, Any]]:
        path = self.folder / "rejects.ndjson"
        return [json.loads(row) for row in path.read_text().splitlines()] if path.exists() else []
