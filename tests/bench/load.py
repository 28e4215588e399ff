"""A load generator: ``python -m tests.bench.load`` with a JSON plan on its input, figures as JSON.

Keeps so many connections busy, or sends at a fixed rate and counts from when a request was due, so
that a stalled server is not excused by the requests that were never sent to it.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop

MARK = "@ID@"
"""Stands for a message id in a body: each becomes a new one."""


@dataclass(frozen=True)
class Plan:
    url: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = 32
    seconds: float = 3.0
    requests: int | None = None
    """Stop after so many; ``seconds`` then is no limit."""
    rate: float | None = None
    """Requests per second; None: as many as are answered."""
    queries: list[str] = field(default_factory=list)
    """GET with one after the other of these query strings, in place of POST with the body."""


def run(plan: Plan) -> dict[str, Any]:
    """``requests``, ``rate``, ``p50_ms``, ``p99_ms``; raises when any answer was not 200."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["refused"] == 0, figures
    return figures


class _Requests:
    """The bytes of each request in turn."""

    def __init__(self, plan: Plan) -> None:
        url = urlsplit(plan.url)
        headers = {"Host": url.netloc, "Content-Type": "application/json", **plan.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._head = f"POST {url.path} HTTP/1.1\r\n{lines}Content-Length: ".encode()
        gets = (f"GET {url.path}?{query} HTTP/1.1\r\n{lines}\r\n" for query in plan.queries)
        self._gets = cycle([get.encode() for get in gets]) if plan.queries else None
        self._parts = plan.body.split(MARK)
        self._run, self._next = uuid4().hex[:12], 0

    def next(self) -> bytes:
        if self._gets is not None:
            return next(self._gets)
        parts = self._parts
        if len(parts) == 1:
            body = parts[0]
        else:
            first = self._next
            self._next += len(parts) - 1
            ids = [f"{self._run}-{first + n:010}" for n in range(len(parts) - 1)]
            body = "".join(a + b for a, b in zip(parts, [*ids, ""], strict=True))
        raw = body.encode()
        return self._head + str(len(raw)).encode() + b"\r\n\r\n" + raw


class _Load:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.requests = _Requests(plan)
        self.took: list[float] = []
        self.sent = self.refused = 0
        self.due: deque[float] = deque()
        self.idle: deque[_Connection] = deque()
        self.finished = asyncio.Event()
        self.ends_at = float("inf") if plan.requests else time.perf_counter() + plan.seconds
        self.busy = 0

    def next_for(self, connection: "_Connection") -> None:
        """Gives a free connection its next request, when there is one."""
        now = time.perf_counter()
        over = now >= self.ends_at or self.sent == self.plan.requests
        if self.plan.rate is not None and not self.due:
            self.idle.append(connection)
        elif over:
            if not self.busy:
                self.finished.set()
        else:
            connection.send(self.due.popleft() if self.due else now)

    async def pace(self) -> None:
        assert self.plan.rate is not None
        step, due = 1 / self.plan.rate, time.perf_counter()
        while due < self.ends_at:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            while due <= time.perf_counter():
                self.due.append(due)
                due += step
            while self.due and self.idle:
                self.idle.popleft().send(self.due.popleft())
        self.finished.set()


class _Connection(asyncio.Protocol):
    """Requests one after the other; answers are told apart by their Content-Length."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._load.next_for(self)

    def send(self, due: float) -> None:
        self._due = due
        self._load.sent += 1
        self._load.busy += 1
        self._transport.write(self._load.requests.next())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(rest) < int(length.split(b"\r\n", 1)[0]):
            return
        self._received = b""
        load = self._load
        load.took.append(time.perf_counter() - self._due)
        load.refused += not head.startswith(b"HTTP/1.1 200")
        load.busy -= 1
        load.next_for(self)


async def _main(plan: Plan) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    load = _Load(plan)
    url = urlsplit(plan.url)
    assert url.hostname
    assert url.port
    started = time.perf_counter()
    for _ in range(plan.connections):
        await loop.create_connection(lambda: _Connection(load), url.hostname, url.port)
    if plan.rate is None:
        await load.finished.wait()
    else:
        await load.pace()
    seconds = time.perf_counter() - started
    took = sorted(load.took)
    return {
        "requests": len(took),
        "refused": load.refused,
        "rate": len(took) / seconds,
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1000, 2),
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_main(Plan(**json.load(sys.stdin))))))
