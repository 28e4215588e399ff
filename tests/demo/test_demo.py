"""The whole story as `make demo` tells it, on a small invented programme."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree


def run_demo(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.demo", *arguments],
        env={**os.environ, "DATA_DIR": str(data_dir)},  # noqa: TID251 - handed on, not read
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_demo_tells_the_story_and_every_number_is_that_of_the_raw_files(
    tmp_path: Path,
) -> None:
    done = run_demo(tmp_path / "data", "--people", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / "data" / "demo"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["differences"] == []
    assert summary["counts"]["profiles"] == 60
    assert summary["counts"] == summary["counts_again"]
    journey = summary["journey"]
    assert journey["entered"] == journey["reminded"] + journey["completed_first"]
    assert min(journey["reminded"], journey["completed_first"]) > 5
    assert summary["sink_messages"] == journey["reminded"] == summary["check"]["reminded"]
    assert summary["sink_repeated"] == []
    for picture in ("map.svg", "funnel.svg"):
        root = ElementTree.fromstring((out / picture).read_text())  # noqa: S314 - our own
        assert root.tag.endswith("svg")
    assert "Every number equals" in (out / "summary.txt").read_text()
    assert (out / "instance.log").read_text().rstrip().endswith("Stopped.")


def test_a_directory_without_the_files_is_named(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "data", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "has no portfolio.json, profile.json.gz, transcript.json.gz" in done.stderr
