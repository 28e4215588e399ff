"""The way of events to tracking: kept connections, requests written and answers parsed directly.

Every event passes here, and a general HTTP client costs more than the rest of the gateway together
(docs/adr/0019). Answers of ingestion are small and wanted whole, so nothing streams.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools
import structlog

from gateway.errors import BadRequest, UpstreamUnavailable
from gateway.proxy import CONNECT_SECONDS, IDLE_SECONDS, Headers, Outgoing

log = structlog.get_logger(__name__)

MAX_CONNECTIONS = 1000
MAX_ANSWER_BYTES = 1024 * 1024
_PORTS = {"http": 80, "https": 443}
_NOT_IN_TARGET = re.compile(rb"[\x00-\x20\x7f]")


@dataclass(slots=True)
class Answer:
    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""


class BrokenOff(ConnectionError):
    """The connection ended, or broke the rules, before the answer was whole."""


class TooSlow(BrokenOff):
    """No whole answer in time; what became of the request nobody knows."""


class Connection(asyncio.Protocol):
    """One request at a time: ``exchange``. Not to be used again once ``closed``."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport
        self._answer = Answer()
        self._done: asyncio.Future[Answer] | None = None
        self.closed = False
        self.idle_since = 0.0

    async def exchange(self, head: bytes, body: bytes, seconds: float) -> Answer:
        """The whole answer; ``BrokenOff`` or ``TooSlow``."""
        self._answer = Answer()
        self._parser = httptools.HttpResponseParser(self)
        self._done = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._fail, TooSlow())
        self._transport.writelines([head, body])
        try:
            return await self._done
        finally:
            timer.cancel()
            if self._done.cancelled():
                # Half an answer may still come: it belongs to nobody.
                self.close()
            self._done = None
            self.idle_since = self._loop.time()

    def close(self) -> None:
        self.closed = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's by inheritance.
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail(BrokenOff())

    def data_received(self, data: bytes) -> None:
        if self._done is None:
            # Nobody asked.
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(BrokenOff())

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._answer.body += body
        if len(self._answer.body) > MAX_ANSWER_BYTES:
            self._fail(BrokenOff())

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.close()
        if self._done is not None and not self._done.done():
            self._done.set_result(self._answer)

    def _fail(self, error: BrokenOff) -> None:
        self.close()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


class Address:
    """One ingest process and the connections to it that wait for work."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or parts.hostname is None:
            raise ValueError(f"An http:// or https:// address is needed, not {url!r}.")
        self._host, self._port = parts.hostname, parts.port or _PORTS[parts.scheme]
        self._tls = True if parts.scheme == "https" else None
        self.host_header = parts.netloc.encode()
        self._idle: deque[Connection] = deque()

    async def connection(self) -> Connection:
        """One that waits for work, else a new one; ``OSError`` or ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_SECONDS
        while self._idle:
            kept = self._idle.pop()
            if not kept.closed and kept.idle_since > oldest:
                return kept
            kept.close()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, made = await loop.create_connection(
                lambda: Connection(loop), self._host, self._port, ssl=self._tls
            )
        return made

    def give_back(self, connection: Connection) -> None:
        if not connection.closed:
            self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class IngestClient:
    """Ingest processes stand in for each other."""

    def __init__(self, name: str, urls: Sequence[str], read_seconds: float) -> None:
        """``read_seconds``: how long an answer may take."""
        self.name = name
        self._addresses = [Address(url) for url in urls]
        self._read_seconds = read_seconds
        self._next = 0
        self._busy = 0

    async def send(self, outgoing: Outgoing) -> Answer:
        """The answer. ``UpstreamUnavailable`` when no process gives one, or too many requests wait.

        A request that cannot have reached a process goes to the next one; one that may have goes
        there only if it is repeatable and its process broke off rather than kept us waiting.
        """
        if self._busy >= MAX_CONNECTIONS:
            raise UpstreamUnavailable(self.name)
        self._busy += 1
        try:
            return await self._send(outgoing)
        finally:
            self._busy -= 1

    async def _send(self, outgoing: Outgoing) -> Answer:
        self._next = (self._next + 1) % len(self._addresses)
        tries = self._addresses[self._next :] + self._addresses[: self._next]
        for address in [*tries, tries[0]]:
            head = _head(outgoing, address.host_header)
            try:
                connection = await address.connection()
            except (OSError, TimeoutError) as error:
                log.warning("upstream_refused", service=self.name, error=type(error).__name__)
                continue
            try:
                return await connection.exchange(head, outgoing.body, self._read_seconds)
            except BrokenOff as error:
                log.warning("upstream_failed", service=self.name, error=type(error).__name__)
                if not outgoing.repeatable or isinstance(error, TooSlow):
                    break
            finally:
                address.give_back(connection)
        raise UpstreamUnavailable(self.name)

    async def ping(self) -> None:
        """Raises ``UpstreamUnavailable`` unless a process answers ``/livez`` with 200."""
        answer = await self.send(Outgoing("GET", b"/livez", [], b"", repeatable=True))
        if answer.status != 200:
            raise UpstreamUnavailable(self.name)

    def close(self) -> None:
        for address in self._addresses:
            address.close()


def _head(outgoing: Outgoing, host: bytes) -> bytes:
    """Request line and headers. ``BadRequest`` for what would change their meaning."""
    if _NOT_IN_TARGET.search(outgoing.target):
        raise BadRequest("The address is not valid.")
    lines = [
        b"%b %b HTTP/1.1" % (outgoing.method.encode(), outgoing.target),
        b"host: " + host,
        b"content-length: %d" % len(outgoing.body),
        *[b"%b: %b" % header for header in outgoing.headers],
        b"",
        b"",
    ]
    head = b"\r\n".join(lines)
    breaks = len(lines) - 1
    if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\x00" in head:
        raise BadRequest("A header holds characters that HTTP does not allow.")
    return head
