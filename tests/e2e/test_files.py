"""Journeys in git: `waymark export` and `waymark apply` against a running Waymark."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from cli.main import main
from tests.support.platform import Mailbox, Platform


class Files:
    def __init__(self, platform: Platform, folder: Path, capsys: pytest.CaptureFixture[str]):
        self._credentials = ["--credentials", str(platform.instance.data_dir / "credentials.json")]
        self.folder, self._capsys = folder, capsys

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main([arguments[0], *arguments[1:], *self._credentials])
        out, err = self._capsys.readouterr()
        return code, out + err

    def write(self, name: str, value: Any) -> str:
        path = self.folder / name
        path.write_text(value if isinstance(value, str) else yaml.safe_dump(value))
        return str(path)


@pytest.fixture
def files(platform: Platform, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(platform, tmp_path, capsys)


def plain(event: str, seconds: int = 60) -> dict[str, Any]:
    return {
        "name": "Plain",
        "entry": {"kind": "event", "event": event, "next": "delay"},
        "nodes": [
            {"id": "delay", "type": "delay", "seconds": seconds, "next": "end"},
            {"id": "end", "type": "exit"},
        ],
    }


def test_files_become_journeys_and_say_what_changes(platform: Platform, files: Files) -> None:
    key = f"plain-{uuid4().hex[:8]}"
    path = files.write("plain.yaml", {"journey": key, "graph": plain("Viewed")})
    code, said = files.run("apply", path, "--publish", "--dry-run")
    assert code == 0
    assert said.startswith(f"{key}: would be created")
    assert f"{key}: would be published" in said
    code, said = files.run("apply", path, "--publish")
    assert (code, said.splitlines()[-1]) == (0, f"{key}: published as version 1")
    assert files.run("apply", path, "--publish") == (0, f"{key}: unchanged\n")
    files.write("plain.yaml", {"journey": key, "graph": plain("Viewed", seconds=5)})
    code, said = files.run("apply", str(files.folder), "--publish", "--in-flight", "migrate")
    assert code == 0
    lines = said.splitlines()
    assert (lines[0], lines[-1]) == (f"{key}: changed", f"{key}: published as version 2")
    assert {"-  seconds: 60", "+  seconds: 5"} <= set(lines)


def test_what_was_exported_applies_as_it_is(
    platform: Platform, mailbox: Mailbox, files: Files
) -> None:
    journey_id = platform.email_journey(mailbox, f"Asked {uuid4()}")
    key = platform.get(f"/journeys/{journey_id}")["key"]
    code, said = files.run("export", str(files.folder))
    assert code == 0
    assert said.endswith(f"journeys written to {files.folder}\n")
    path = files.folder / f"{key}.yaml"
    assert "Mailbox" in path.read_text()
    assert files.run("apply", str(path)) == (0, f"{key}: unchanged\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("graph: {}", "`journey: KEY` is missing"),
        ("journey: a\ngraphs: {}", "unknown members: graphs"),
        ("journey: [", "while parsing"),
    ],
)
def test_a_file_that_is_none_is_named(files: Files, text: str, said: str) -> None:
    path = files.write("bad.yaml", text)
    code, found = files.run("apply", path)
    assert code == 2
    assert path in found
    assert said in found


def test_a_refused_file_is_named_and_others_are_applied(files: Files) -> None:
    good, bad, open_end = (f"{name}-{uuid4().hex[:8]}" for name in ("good", "bad", "open"))
    files.write("a.yaml", {"journey": bad, "graph": {**plain("V"), "nodes": []}})
    unfinished = plain("V") | {"nodes": plain("V")["nodes"][:1]}
    files.write("b.yaml", {"journey": open_end, "graph": unfinished})
    files.write("c.yaml", {"journey": good, "graph": plain("V")})
    code, said = files.run("apply", str(files.folder), "--publish")
    assert code == 1
    assert "a.yaml: refused: #/graph/nodes" in said
    assert f"{open_end}: not published" in said
    assert f"{good}: published as version 1" in said
    twice = files.write("d.yaml", {"journey": good, "graph": plain("V")})
    code, said = files.run("apply", twice, str(files.folder / "c.yaml"))
    assert (code, said) == (2, f"two files are of the journey {good!r}\n")
