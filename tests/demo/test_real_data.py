"""The independent check against figures published for the real files, where they are at hand."""

import os
from pathlib import Path

import pytest

from infra.demo.check import expected

REAL_DATA = os.environ.get("REWARDS_DATA", "")  # noqa: TID251 - of the tests only


@pytest.mark.skipif(not REAL_DATA, reason="REWARDS_DATA names no directory with the real files")
def test_the_check_finds_the_published_counts() -> None:
    found = expected(Path(REAL_DATA))
    assert found.profiles == 17_000
    assert (found.received, found.viewed, found.completed, found.transactions) == (
        76_277,
        57_725,
        33_579,
        138_953,
    )
    assert found.amount == "1775451.97"
    # Of an independent program that walks the file line by line.
    assert (found.entered, found.reminded, found.completed_first) == (42_689, 24_328, 18_361)
