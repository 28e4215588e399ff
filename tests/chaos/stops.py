"""R12: a stop by SIGTERM under load answers every request that it had accepted."""

import signal
import time
from typing import Any

import psutil

from tests.chaos.ledger import REFUSED_CONNECTION
from tests.chaos.world import World
from tests.support.waiting import until

TARGETS = ("gateway", "tracking-ingest")
_PROGRESS_SECONDS = 120.0
_EXIT_SECONDS = 30.0


def run(world: World, seed: int, *, rounds: int) -> dict[str, Any]:
    """``in_flight_failed``: requests begun before a signal that were not acknowledged, by answer.
    ``late_failed``: those begun afterwards whose connection broke. ``longest_exit_seconds``."""
    stopped: list[tuple[float, float]] = []
    began = time.monotonic()
    with world.producer(f"R12-{seed}", largest_batch=5) as producer:
        for turn in range(rounds):
            name = TARGETS[turn % len(TARGETS)]
            known = producer.ledger.acknowledged_events
            until(
                lambda known=known: producer.ledger.acknowledged_events > known + 200,  # type: ignore[misc]
                within=_PROGRESS_SECONDS,
                what="load before the stop",
            )
            process = world.instance.running(name)
            at = time.monotonic()
            process.send_signal(signal.SIGTERM)
            stopped.append((at, _exit_seconds(process)))
        producer.end()
    failed: dict[str, int] = {}
    late = 0
    for failure in producer.ledger.failures:
        if failure.answer == REFUSED_CONNECTION:
            continue
        before = any(failure.began < at <= failure.ended for at, _ in stopped)
        if before:
            failed[failure.answer] = failed.get(failure.answer, 0) + 1
        elif not failure.answer.isdigit():
            late += 1
    return {
        "seconds": round(time.monotonic() - began, 1),
        "rounds": rounds,
        "in_flight_failed": failed,
        "late_failed": late,
        "longest_exit_seconds": round(max(seconds for _, seconds in stopped), 2),
    }


def _exit_seconds(process: psutil.Process) -> float:
    at = time.monotonic()
    process.wait(_EXIT_SECONDS)
    return time.monotonic() - at
