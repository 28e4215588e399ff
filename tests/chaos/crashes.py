"""R1: every process is killed at random points of a producer's work."""

import time
from typing import Any

from tests.chaos import killer
from tests.chaos.world import World


def run(world: World, seed: int, *, events: int, kills: int, largest_batch: int) -> dict[str, Any]:
    """``kills`` by process, while a producer gets ``events`` acknowledged."""
    began = time.monotonic()
    with world.producer(f"R1-{seed}", events=events, largest_batch=largest_batch) as producer:
        plan = killer.schedule(seed, events, kills)
        done = killer.carry_out(plan, world.instance, producer)
    return {"seconds": round(time.monotonic() - began, 1), "kills": dict(done)}
