"""R3: how long until everything is back after a kill, a long crash recovery and a backlog."""

import signal
import time
from http import HTTPStatus
from typing import Any

import httpx2

from infra.runner.ports import LOOPBACK
from tests.chaos.world import World
from tests.support.waiting import until

SERVICES = ("gateway", "tracking-ingest", "tracking-store", "profile", "orchestrator", "assessment")
_WITHIN_SECONDS = 300.0


def run(world: World, seed: int, *, wal_megabytes: int, backlog: int) -> dict[str, Any]:
    """Seconds: until ready after a kill of each process; until PostgreSQL has replayed
    ``wal_megabytes``; until ``backlog`` events are read after the store was away."""
    ready = {name: _after_kill(world, name) for name in (*SERVICES, "postgres")}
    assert world.databases.write_wal(wal_megabytes)
    replay = _after_kill(world, "postgres")
    return {
        "ready_seconds": ready,
        "wal_megabytes": wal_megabytes,
        "replay_seconds": replay,
        "backlog": backlog,
        "drain_seconds": _drain(world, seed, backlog),
    }


def _after_kill(world: World, name: str) -> float:
    """Seconds from the kill until another process runs and everything says that it is ready."""
    killed = world.instance.running(name)
    killed.send_signal(signal.SIGKILL)
    began = time.monotonic()

    def back() -> bool:
        process = world.instance.processes.get(name)
        return process is not None and process.pid != killed.pid and _all_ready(world)

    until(back, within=_WITHIN_SECONDS, what=f"{name} is back")
    return round(time.monotonic() - began, 2)


def _all_ready(world: World) -> bool:
    running = world.instance.processes
    # `serve` is told its port in the argument before the last one.
    return running.keys() >= set(SERVICES) and all(
        _ready(f"http://{LOOPBACK}:{running[name].cmdline()[-2]}") for name in SERVICES
    )


def _ready(url: str) -> bool:
    try:
        answer = httpx2.get(f"{url}/readyz", timeout=5.0)
    except httpx2.TransportError:
        return False
    return answer.status_code == HTTPStatus.OK and answer.json()["status"] == "ready"


def _drain(world: World, seed: int, backlog: int) -> float:
    """Seconds from the start of a store to the end of what came while there was none."""
    away = world.instance.running("tracking-store")
    away.suspend()
    with world.producer(f"R3-{seed}", events=backlog, largest_batch=200):
        pass
    away.send_signal(signal.SIGKILL)
    began = time.monotonic()
    world.databases.await_readers(_WITHIN_SECONDS)
    return round(time.monotonic() - began, 1)
