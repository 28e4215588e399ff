"""``make chaos``: every experiment at full length, one line of JSON with its figures for each.

``python -m tests.chaos [NAME …]`` runs only those named. ``SEED`` has a run again; ``SCALE`` (1)
shortens them. Exits with 1 when an event was lost or doubled, or a producer told something wrong.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.stack import machine
from tests.chaos import crashes, disks, network, overload, recovery, stops
from tests.chaos.world import World, seed

_CATCH_UP_SECONDS = 3600.0
Experiment = Callable[[ExitStack, Path, int, float], tuple[World, dict[str, Any]]]


def _crashes(stack: ExitStack, home: Path, seed: int, scale: float) -> tuple[World, dict[str, Any]]:
    world = stack.enter_context(World(home))
    events, kills = int(1_000_000 * scale), max(9, int(36 * scale))
    return world, crashes.run(world, seed, events=events, kills=kills, largest_batch=250)


def _network(stack: ExitStack, home: Path, seed: int, scale: float) -> tuple[World, dict[str, Any]]:
    links = stack.enter_context(network.Links(home / "data"))
    world = stack.enter_context(World(home, links.environment))
    cycles = max(4, int(200 * scale))
    return world, network.run(world, links, seed, cycles=cycles, half_open_60_s=True)


def _recovery(
    stack: ExitStack, home: Path, seed: int, scale: float
) -> tuple[World, dict[str, Any]]:
    world = stack.enter_context(World(home))
    size, backlog = int(1000 * scale), int(100_000 * scale)
    return world, recovery.run(world, seed, wal_megabytes=size, backlog=backlog)


def _overload(
    stack: ExitStack, home: Path, seed: int, scale: float
) -> tuple[World, dict[str, Any]]:
    world = stack.enter_context(World(home))
    return world, overload.run(world, seed, seconds=300 * scale)


def _disks(stack: ExitStack, home: Path, seed: int, scale: float) -> tuple[World, dict[str, Any]]:
    small = {
        name: stack.enter_context(disks.SmallDisk(home / "data" / name))
        for name in ("postgres", "chdb")
    }
    world = stack.enter_context(World(home))
    return world, disks.run(world, small, seed, refusals=max(40, int(400 * scale)))


def _stops(stack: ExitStack, home: Path, seed: int, scale: float) -> tuple[World, dict[str, Any]]:
    world = stack.enter_context(World(home))
    return world, stops.run(world, seed, rounds=max(2, int(100 * scale)))


EXPERIMENTS: dict[str, tuple[str, Experiment]] = {
    "crashes": ("R1", _crashes),
    "network": ("R2", _network),
    "recovery": ("R3", _recovery),
    "overload": ("R10", _overload),
    "disks": ("R11", _disks),
    "stops": ("R12", _stops),
}


def _run(name: str, number: int, scale: float) -> bool:
    """Prints the experiment's line; whether all was well."""
    promise, experiment = EXPERIMENTS[name]
    with tempfile.TemporaryDirectory(prefix="waymark-chaos-") as home, ExitStack() as stack:
        (Path(home) / "data").mkdir(mode=0o700)
        world, figures = experiment(stack, Path(home), number, scale)
        reckoning = world.reckon(_CATCH_UP_SECONDS)
    line = {"experiment": name, "promise": promise, "seed": number, **figures, **asdict(reckoning)}
    print(json.dumps(line | {"machine": machine()}), flush=True)
    return not reckoning.faults


def main() -> int:
    names = sys.argv[1:] or list(EXPERIMENTS)
    scale = float(os.environ.get("SCALE", "1"))  # noqa: TID251 - the tests' own
    # A list: the others run even after one that found something.
    well = [_run(name, seed(1), scale) for name in names]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
