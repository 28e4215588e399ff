"""An HTTP proxy that gets in the way of the first POSTs and passes everything else on."""

import asyncio
import re
import threading
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

HEAD_BYTES = 1 << 20
_CONNECTION = re.compile(rb"(?im)^(connection|keep-alive):[^\r\n]*\r\n")
_GONE = (ConnectionError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status (and ``Retry-After`` in seconds) in Waymark's place."""

    status: int
    retry_after: int | None = None


Fault = Refuse | Literal["cut", "lose"]
"""``cut``: the connection breaks before anything arrives; ``lose``: the request arrives, its answer
gets lost."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that came by; ``status`` as its sender saw it, 0 where it saw none."""

    method: str
    path: str
    status: int


class FaultyProxy:
    """Listens on a free local port in a thread of its own while the `with` block runs.

    ``faults`` meet the POSTs in turn, those to ``spared`` paths aside. Bodies travel as they were
    sent, chunks and all; connections are closed after one answer.
    """

    def __init__(
        self, upstream: str, faults: Sequence[Fault] = (), spared: Sequence[str] = ()
    ) -> None:
        self.seen: list[Exchange] = []
        self.url = ""
        address = urlsplit(upstream)
        self._upstream = (address.hostname or "", address.port or 80)
        self._faults = list(faults)
        self._spared = tuple(spared)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty-proxy")
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        )
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(*_GONE):
            head = await reader.readuntil(b"\r\n\r\n")
            method, path = head.decode("latin-1").split(" ", 2)[:2]
            content = await _content(reader, head)
            status = await self._answer(method, path, head + content, writer)
            self.seen.append(Exchange(method, path, status))
            if status:
                await writer.drain()
                writer.close()
            else:
                writer.transport.abort()

    async def _answer(
        self, method: str, path: str, request: bytes, writer: asyncio.StreamWriter
    ) -> int:
        """The status that was answered, 0 for none."""
        fault: Fault | None = None
        if method == "POST" and self._faults and not path.startswith(self._spared):
            fault = self._faults.pop(0)
        if fault == "cut":
            return 0
        if isinstance(fault, Refuse):
            writer.write(_refusal(fault, request))
            return fault.status
        answer = await self._pass_on(request)
        if fault == "lose" or not answer:
            return 0
        writer.write(answer)
        return int(answer.split(b" ", 2)[1])

    async def _pass_on(self, request: bytes) -> bytes:
        head, _, content = request.partition(b"\r\n\r\n")
        head = _CONNECTION.sub(b"", head + b"\r\n") + b"Connection: close\r\n\r\n"
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            writer.write(head + content)
            return await reader.read()
        finally:
            writer.close()


async def _content(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body as it is on the wire."""
    if re.search(rb"(?i)\r\ntransfer-encoding:[^\r]*chunked", head):
        pieces = []
        while True:
            size = await reader.readuntil(b"\r\n")
            piece = await reader.readexactly(int(size.partition(b";")[0], 16) + 2)
            pieces.append(size + piece)
            if piece == b"\r\n":
                return b"".join(pieces)
    length = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
    return await reader.readexactly(int(length[1])) if length else b""


def _refusal(fault: Refuse, request: bytes) -> bytes:
    """As Waymark refuses, its headers for pages of other origins included."""
    content = b'{"code": "refused", "message": "Refused by the test."}'
    lines = [b"HTTP/1.1 %d Refused" % fault.status, b"Content-Length: %d" % len(content)]
    lines += [b"Content-Type: application/json", b"Connection: close"]
    if fault.retry_after is not None:
        lines.append(b"Retry-After: %d" % fault.retry_after)
    if origin := re.search(rb"(?i)\r\norigin:\s*([^\r]+)", request):
        lines += [b"Access-Control-Allow-Origin: " + origin[1], b"Vary: Origin"]
        lines += [b"Access-Control-Allow-Credentials: true"]
        lines += [b"Access-Control-Expose-Headers: Retry-After"]
    return b"\r\n".join([*lines, b"", content])
