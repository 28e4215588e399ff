"""Kills processes of a running instance at points of the producer's progress, from a seed."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests.chaos.producer import Producer
from tests.support.instance import Instance
from tests.support.waiting import until

BACKEND = "postgres-backend"
"""Any process below the postmaster, which then starts all of them anew."""
TARGETS = (
    *("tracking-store", "postgres", "tracking-ingest", "gateway", "profile"),
    *(BACKEND, "tracking-store", "orchestrator", "tracking-ingest"),
)
"""In turn; the store twice, as it does the most between two commits."""
_PROGRESS_SECONDS = 300.0


@dataclass(frozen=True)
class Kill:
    after: int
    """Acknowledged events."""
    target: str
    delay: float
    """Seconds from then, so that kills do not only follow acknowledgements."""


def schedule(seed: int, events: int, kills: int) -> list[Kill]:
    """``kills`` at random points of the first nine tenths of ``events``, the targets in turn."""
    choose = random.Random(f"kills {seed}")  # noqa: S311
    points = sorted(choose.randrange(events * 9 // 10) for _ in range(kills))
    return [
        Kill(after, TARGETS[turn % len(TARGETS)], choose.random() * 0.3)
        for turn, after in enumerate(points)
    ]


def carry_out(kills: Sequence[Kill], instance: Instance, producer: Producer) -> Counter[str]:
    """Each kill at its point; how often each target was hit."""
    done: Counter[str] = Counter()
    choose = random.Random(len(kills))  # noqa: S311
    for kill in kills:
        until(
            lambda after=kill.after: (
                producer.finished  # type: ignore[misc]
                or producer.ledger.acknowledged_events >= after
            ),
            within=_PROGRESS_SECONDS,
            what=f"{kill.after} events acknowledged",
        )
        if producer.finished:
            break
        time.sleep(kill.delay)
        victim(instance, kill.target, choose).send_signal(signal.SIGKILL)
        done[kill.target] += 1
    return done


def victim(instance: Instance, target: str, choose: random.Random) -> psutil.Process:
    if target != BACKEND:
        return instance.running(target)

    def one() -> psutil.Process | None:
        below = instance.running("postgres").children()
        return choose.choice(below) if below else None

    found = until(one, within=60.0, what="a process of PostgreSQL")
    assert found is not None
    return found
