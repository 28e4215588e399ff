"""The importer over a directory of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Import


@pytest.fixture
def importer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    return Import(tmp_path, capsys)
