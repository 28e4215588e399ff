"""R10: one workspace sends five times what can be taken while another one goes about its day."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2

from gateway.bootstrap import bootstrap
from tests.chaos import stream
from tests.chaos.ledger import ACKNOWLEDGED, Ledger
from tests.chaos.world import World

FACTOR = 5
_BATCH = 400
_CAPACITY_CONNECTIONS = 16
_MOST_OPEN = 1000
"""Requests a flood keeps open at once: those beyond are not sent, as no client has more sockets."""
_NEIGHBOUR_RATE = 25.0
_WATCHED = ("gateway", "tracking-ingest")


@dataclass
class Phase:
    """What was seen during one stretch of time."""

    took: list[float] = field(default_factory=list)
    """Seconds the neighbour waited, from when each of its requests was due."""
    neighbour: Counter[str] = field(default_factory=Counter)
    offered: int = 0
    unsent: int = 0
    memory: int = 0
    """Largest resident bytes of gateway and ingest together."""

    @property
    def p99_ms(self) -> float:
        took = sorted(self.took)
        return round(took[len(took) * 99 // 100] * 1000, 1) if took else 0.0


def run(world: World, seed: int, *, seconds: float) -> dict[str, Any]:
    """Half of the capacity for ``seconds``, then five times of it for as long: answers, memory, and
    how long another workspace waits in each."""
    return asyncio.run(_run(world, seed, seconds))


async def _run(world: World, seed: int, seconds: float) -> dict[str, Any]:
    other_key = (await bootstrap(world.databases.dsn("gateway"), "Neighbour"))["write_key"]
    url = world.platform.url
    async with _client(url, world.platform.write_key) as ours, _client(url, other_key) as other:
        flood = _Flood(ours, stream.requests(f"R10-{seed}", None, _BATCH))
        world.account(flood.ledger)
        capacity = await flood.capacity(min(seconds, 20.0))
        normal, _ = await _phase(world, flood, other, capacity / 2, seconds)
        overload, answers = await _phase(world, flood, other, capacity * FACTOR, seconds)
    return {
        "seconds_each": seconds,
        "capacity_requests_per_s": round(capacity, 1),
        "offered_requests_per_s": round(overload.offered / seconds, 1),
        "unsent": overload.unsent,
        "answers_under_overload": dict(answers),
        "neighbour_answers": dict(overload.neighbour),
        "neighbour_p99_ms": {"normal": normal.p99_ms, "overload": overload.p99_ms},
        "memory_mb": {"normal": normal.memory // 2**20, "overload": overload.memory // 2**20},
    }


def _client(url: str, write_key: str) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
    headers = {"Content-Type": "application/json"}
    return httpx2.AsyncClient(
        base_url=url, auth=(write_key, ""), headers=headers, limits=limits, timeout=60.0
    )


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


async def _phase(
    world: World, flood: _Flood, other: httpx2.AsyncClient, rate: float, seconds: float
) -> tuple[Phase, Counter[str]]:
    """The flood at ``rate`` requests a second beside the neighbour; what the flood was answered."""
    phase, known = Phase(), Counter(flood.ledger.answers)
    ends_at = time.monotonic() + seconds

    def send_one() -> None:
        phase.offered += 1
        if len(flood.open) < _MOST_OPEN:
            flood.begin()
        else:
            phase.unsent += 1

    async def watch_memory() -> None:
        processes = [world.instance.running(name) for name in _WATCHED]
        while time.monotonic() < ends_at:
            phase.memory = max(phase.memory, sum(p.memory_info().rss for p in processes))
            await asyncio.sleep(0.2)

    asking: set[asyncio.Task[None]] = set()

    def ask() -> None:
        task = asyncio.create_task(_ask(other, phase))
        asking.add(task)
        task.add_done_callback(asking.discard)

    await asyncio.gather(
        _paced(rate, ends_at, send_one), _paced(_NEIGHBOUR_RATE, ends_at, ask), watch_memory()
    )
    await asyncio.gather(*asking, *flood.open)
    return phase, flood.ledger.answers - known


async def _paced(rate: float, ends_at: float, act: Callable[[], None]) -> None:
    due = time.monotonic()
    while due < ends_at:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        act()
        due += 1 / rate


async def _ask(other: httpx2.AsyncClient, phase: Phase) -> None:
    began = time.monotonic()
    event = {"type": "track", "event": "Quiet", "userId": "u1", "messageId": uuid4().hex}
    try:
        answer = await other.post("/v1/track", json=event)
    except httpx2.TransportError as error:
        phase.neighbour[type(error).__name__] += 1
    else:
        phase.neighbour[str(answer.status_code)] += 1
    phase.took.append(time.monotonic() - began)
