"""R10: one workspace sends five times what can be taken while another one goes about its day."""

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from typing import Any

import httpx2

from gateway.bootstrap import bootstrap
from tests.bench.load import MARK, Plan
from tests.bench.stack import REPOSITORY
from tests.chaos import stream
from tests.chaos.ledger import ACKNOWLEDGED, Ledger
from tests.chaos.world import World

FACTOR = 5
_BATCH = 400
_DIFFERENT = 1000
"""So many requests are made beforehand and then sent again and again: making them anew would take
the processor that is to be overloaded."""
_CAPACITY_CONNECTIONS = 16
_MOST_OPEN = 1000
"""Requests a flood keeps open at once; those beyond are counted and not sent."""
_NEIGHBOUR_RATE = 25.0
_WATCHED = ("gateway", "tracking-ingest")


@dataclass
class Phase:
    """What was seen during one stretch of time."""

    neighbour: dict[str, Any] = field(default_factory=dict)
    """Figures of ``tests.bench.load``: waiting counts from when a request was due."""
    answers: Counter[str] = field(default_factory=Counter)
    offered: int = 0
    unsent: int = 0
    memory: int = 0
    """Largest resident bytes of gateway and ingest together."""


def run(world: World, seed: int, *, seconds: float) -> dict[str, Any]:
    """Half of the capacity for ``seconds``, then five times of it for as long: answers, memory, and
    how long another workspace waits in each."""
    return asyncio.run(_run(world, seed, seconds))


async def _run(world: World, seed: int, seconds: float) -> dict[str, Any]:
    other_key = (await bootstrap(world.databases.dsn("gateway"), "Neighbour"))["write_key"]
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=_MOST_OPEN)
    async with httpx2.AsyncClient(
        base_url=world.platform.url,
        auth=(world.platform.write_key, ""),
        headers={"Content-Type": "application/json"},
        limits=limits,
        timeout=60.0,
    ) as client:
        made = list(islice(stream.requests(f"R10-{seed}", None, _BATCH), _DIFFERENT))
        flood = _Flood(client, cycle(made))
        world.account(flood.ledger)
        capacity = await flood.capacity(min(seconds, 20.0))
        normal = await _phase(world, flood, other_key, capacity / 2, seconds)
        overload = await _phase(world, flood, other_key, capacity * FACTOR, seconds)
    return {
        "seconds_each": seconds,
        "capacity_requests_per_s": round(capacity, 1),
        "offered_requests_per_s": round(overload.offered / seconds, 1),
        "unsent": overload.unsent,
        "answers_under_overload": dict(overload.answers),
        "neighbour": {"normal": normal.neighbour, "overload": overload.neighbour},
        "memory_mb": {"normal": normal.memory // 2**20, "overload": overload.memory // 2**20},
    }


class _Flood:
    """Requests of one workspace, never waiting for the answers before and never tried again."""

    def __init__(self, client: httpx2.AsyncClient, requests: Iterator[stream.Request]) -> None:
        self.ledger = Ledger()
        self._client = client
        self._requests = requests
        self.open: set[asyncio.Task[None]] = set()

    async def capacity(self, seconds: float) -> float:
        """Acknowledged requests per second when a few clients send one after the other."""
        began = time.monotonic()

        async def work() -> None:
            while time.monotonic() < began + seconds:
                await self._send()

        await asyncio.gather(*(work() for _ in range(_CAPACITY_CONNECTIONS)))
        return self.ledger.answers["200"] / (time.monotonic() - began)

    def begin(self) -> None:
        task = asyncio.create_task(self._send())
        self.open.add(task)
        task.add_done_callback(self.open.discard)

    async def _send(self) -> None:
        request = next(self._requests)
        self.ledger.sends(request)
        began = time.monotonic()
        try:
            answer = await self._client.post(request.path, content=request.body)
        except httpx2.TransportError as error:
            self.ledger.answered(request, type(error).__name__, began)
            return
        self.ledger.answered(request, str(answer.status_code), began)
        if answer.status_code != ACKNOWLEDGED:
            self.ledger.without_retry_after += "retry-after" not in answer.headers


async def _phase(world: World, flood: _Flood, other_key: str, rate: float, seconds: float) -> Phase:
    """The flood at ``rate`` requests a second beside the neighbour."""
    phase, known = Phase(), Counter(flood.ledger.answers)
    ends_at = time.monotonic() + seconds

    def send_one() -> None:
        phase.offered += 1
        if len(flood.open) < _MOST_OPEN:
            flood.begin()
        else:
            phase.unsent += 1

    phase.neighbour, _, _ = await asyncio.gather(
        _neighbour(world.platform.url, other_key, seconds),
        _paced(rate, ends_at, send_one),
        _watch_memory(world, phase, ends_at),
    )
    await asyncio.gather(*flood.open)
    phase.answers = flood.ledger.answers - known
    return phase


async def _neighbour(url: str, key: str, seconds: float) -> dict[str, Any]:
    """In a process of its own, so that it waits for the server and not for the flood's client."""
    event = {"type": "track", "event": "Quiet", "userId": "u1", "messageId": MARK}
    plan = Plan(
        f"{url}/v1/track",
        json.dumps(event),
        {"Authorization": f"Basic {b64encode(f'{key}:'.encode()).decode()}"},
        seconds=seconds,
        rate=_NEIGHBOUR_RATE,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.load"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    said, _ = await process.communicate(json.dumps(asdict(plan)).encode())
    figures: dict[str, Any] = json.loads(said)
    return figures


async def _watch_memory(world: World, phase: Phase, ends_at: float) -> None:
    processes = [world.instance.running(name) for name in _WATCHED]
    while time.monotonic() < ends_at:
        phase.memory = max(phase.memory, sum(p.memory_info().rss for p in processes))
        await asyncio.sleep(0.2)


async def _paced(rate: float, ends_at: float, act: Callable[[], None]) -> None:
    due = time.monotonic()
    # By the clock: what this process could not offer in time is not offered afterwards.
    while time.monotonic() < ends_at:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        act()
        due += 1 / rate
