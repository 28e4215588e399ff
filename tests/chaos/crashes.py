"""R1: every process is killed at random points of a producer's work."""

import time
from pathlib import Path

from tests.chaos import killer, stream
from tests.chaos.producer import Producer
from tests.chaos.world import Figures, World


def run(
    directory: Path, seed: int, *, events: int, kills: int, largest_batch: int, within: float
) -> Figures:
    """``within``: seconds the readers may take at the end."""
    figures = Figures("R1", seed)
    with World(directory) as world:
        began = time.monotonic()
        sent = stream.requests(seed, events, largest_batch)
        with Producer(world.platform.url, world.platform.write_key, sent) as producer:
            plan = killer.schedule(seed, events, kills)
            done = killer.carry_out(plan, world.instance, producer)
        figures.seconds = round(time.monotonic() - began, 1)
        figures.more["kills"] = dict(done)
        return world.reckon(figures, producer.ledger, within)
