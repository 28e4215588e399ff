"""An event that was acknowledged is there once, whatever was killed meanwhile."""

from pathlib import Path

from tests.chaos import crashes
from tests.chaos.world import seed


def test_acknowledged_events_outlive_kills_of_every_process_and_count_once(tmp_path: Path) -> None:
    figures = crashes.run(
        tmp_path, seed(1), events=20_000, kills=7, largest_batch=60, within=60.0
    )
    print(figures)
    assert not figures.faults
    assert sum(figures.more["kills"].values()) == 7
    assert figures.acknowledged > figures.sent * 0.9
