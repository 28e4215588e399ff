"""An event that was acknowledged is there once, whatever was broken meanwhile.

One instance goes through every fault in turn, as its start and the reckoning take most of the
time; ``make chaos`` runs the same experiments at full length.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import crashes, disks, network, stops
from tests.chaos.world import Reckoning, World, seed

Found = dict[str, dict[str, Any]]
KILLS = 5


@pytest.fixture(scope="module")
def faced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Found, Reckoning]]:
    """What each experiment found, and the reckoning after all of them."""
    directory, number = tmp_path_factory.mktemp("chaos"), seed(1)
    print(f"SEED={number}")
    data_dir = directory / "data"
    data_dir.mkdir(mode=0o700)
    with ExitStack() as stack:
        small = _small_disks(stack, data_dir)
        links = stack.enter_context(network.Links(data_dir))
        world = stack.enter_context(World(directory, links.environment))
        found = {
            "crashes": crashes.run(world, number, events=20_000, kills=KILLS, largest_batch=60),
            "network": network.run(world, links, number, cycles=5, half_open_60_s=False),
            "stops": stops.run(world, number, rounds=2),
        }
        if small is not None:
            found["disks"] = disks.run(world, small, number, refusals=40)
        reckoning = world.reckon()
        print(found, reckoning)
        yield found, reckoning


def _small_disks(stack: ExitStack, data_dir: Path) -> dict[str, disks.SmallDisk] | None:
    """None where this machine lets nobody mount one."""
    try:
        return {
            name: stack.enter_context(disks.SmallDisk(data_dir / name))
            for name in ("postgres", "chdb")
        }
    except disks.CannotMount as reason:
        print(f"No full disk is tried: {reason}.")
        return None


@pytest.mark.parametrize("what", ["lost", "duplicated", "foreign", "view_off_by", "trends_off_by"])
def test_acknowledged_events_are_in_the_analytics_and_its_views_exactly_once(
    faced: tuple[Found, Reckoning], what: str
) -> None:
    found, reckoning = faced
    assert getattr(reckoning, what) == 0
    assert reckoning.stored >= 0.9 * reckoning.acknowledged > 0
    assert sum(found["crashes"]["kills"].values()) == KILLS


def test_profile_counts_what_the_analytics_count(faced: tuple[Found, Reckoning]) -> None:
    _, reckoning = faced
    assert reckoning.profile_off_by == 0
    assert reckoning.quarantined == 0


def test_producers_are_told_nothing_but_accepted_or_when_to_come_back(
    faced: tuple[Found, Reckoning],
) -> None:
    _, reckoning = faced
    assert not reckoning.wrong_answers
    assert reckoning.without_retry_after == 0
    assert reckoning.answers["503"] > 0


def test_a_stop_answers_every_request_it_had_accepted(faced: tuple[Found, Reckoning]) -> None:
    found, _ = faced
    assert found["stops"]["in_flight_failed"] == {}
    assert found["stops"]["longest_exit_seconds"] <= 15


def test_a_full_disk_is_waited_over_and_only_that_of_the_log_refuses_events(
    faced: tuple[Found, Reckoning],
) -> None:
    found, _ = faced
    if "disks" not in found:
        pytest.skip("this machine lets nobody mount a small disk")
    assert found["disks"]["refused_while_clickhouse_was_full"] == 0
    assert found["disks"]["postgres_died"], "the write-ahead log did not meet the end of the disk"
