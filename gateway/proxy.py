"""Passes requests on to the services and their answers back, piece by piece."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx2
import structlog
from starlette.types import Message, Receive, Send

from gateway.errors import BadRequest, UpstreamUnavailable

log = structlog.get_logger(__name__)

Headers = list[tuple[bytes, bytes]]

CONNECT_SECONDS = 2.0
# Below the 5 s after which uvicorn closes idle connections, so that we close first.
IDLE_SECONDS = 4.0
STALL_SECONDS = 60.0
"""A client may take so long for a piece of an answer: a query waits behind it, or others' turn."""
_REPEATABLE = {"GET", "HEAD", "OPTIONS"}

HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
# What only the gateway may say to a service, or what is none of a service's business.
_NEVER_PASSED_ON = HOP_BY_HOP | {
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"via",
    b"x-key-place",
    b"x-real-ip",
    b"x-request-id",
    b"x-write-key",
}
_NEVER_PASSED_PREFIXES = (b"x-workspace-", b"x-user-", b"x-forwarded-")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it leaves for a service. ``target`` is path and query, percent-encoded."""

    method: str
    target: bytes
    headers: Headers
    body: bytes
    repeatable: bool


def request_headers(given: Headers) -> Headers:
    """The client's headers that may travel on."""
    banned = _NEVER_PASSED_ON | _named_by_connection(given)
    return [
        (name, value)
        for name, value in given
        if name not in banned and not name.startswith(_NEVER_PASSED_PREFIXES)
    ]


def answer_headers(given: Iterable[tuple[bytes, bytes]]) -> Headers:
    """A service's headers that may travel back; ``server`` and ``date`` are our server's own."""
    lowered = [(name.lower(), value) for name, value in given]
    banned = HOP_BY_HOP | {b"server", b"date", b"x-request-id"} | _named_by_connection(lowered)
    return [(name, value) for name, value in lowered if name not in banned]


def _named_by_connection(headers: Headers) -> set[bytes]:
    return {
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
    }


def repeatable(method: str) -> bool:
    """Whether sending the request twice does no more than sending it once."""
    return method in _REPEATABLE


class Upstream:
    """One service, at one or several addresses that stand in for each other."""

    def __init__(
        self, name: str, urls: Sequence[str], transport: httpx2.AsyncHTTPTransport, read: float
    ) -> None:
        """``read``: seconds an answer may make us wait for its next piece."""
        self.name = name
        self._urls = [httpx2.URL(url) for url in urls]
        self._transport = transport
        timeout = httpx2.Timeout(read, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS)
        self._extensions = {"timeout": timeout.as_dict()}
        self._next = 0

    async def send(self, outgoing: Outgoing) -> httpx2.Response:
        """The answer, its body not yet read. Raises ``UpstreamUnavailable``.

        A request that cannot have reached the service is sent to the next address; one that may
        have is sent again only if it is repeatable (a kept connection may close under us).
        """
        self._next = (self._next + 1) % len(self._urls)
        tries = self._urls[self._next :] + self._urls[: self._next]
        for url in [*tries, tries[0]]:
            request = self._request(url, outgoing)
            try:
                return await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                log.warning("upstream_refused", service=self.name, error=type(error).__name__)
            except httpx2.LocalProtocolError as error:
                # Our parser lets through what HTTP forbids and the client library refuses to send.
                raise BadRequest("A header holds characters that HTTP does not allow.") from error
            except httpx2.TransportError as error:
                log.warning("upstream_failed", service=self.name, error=type(error).__name__)
                if not outgoing.repeatable or isinstance(error, httpx2.TimeoutException):
                    break
        raise UpstreamUnavailable(self.name)

    async def ping(self) -> None:
        """Raises ``UpstreamUnavailable`` unless an address answers ``/livez`` with 200."""
        response = await self.send(Outgoing("GET", b"/livez", [], b"", repeatable=True))
        try:
            alive = response.status_code == httpx2.codes.OK
        finally:
            await response.aclose()
        if not alive:
            raise UpstreamUnavailable(self.name)

    def _request(self, url: httpx2.URL, outgoing: Outgoing) -> httpx2.Request:
        try:
            target = url.copy_with(raw_path=outgoing.target)
        except httpx2.InvalidURL as error:
            raise BadRequest("The address is not valid.") from error
        return httpx2.Request(
            outgoing.method,
            target,
            headers=outgoing.headers,
            content=outgoing.body or None,
            extensions=self._extensions,
        )


async def relay(response: httpx2.Response, send: Send) -> None:
    """The answer goes to the client as it comes; never more than one piece is held.

    If the service breaks off, the client's connection is broken off as well (the answer is left
    incomplete), because a short answer must not look like a whole one. A client that takes nothing
    for ``STALL_SECONDS`` is broken off too.
    """
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    try:
        headers = answer_headers(response.headers.raw)
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        try:
            async for piece in stream:
                async with asyncio.timeout(STALL_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except httpx2.TransportError as error:
            log.warning("upstream_broke_off", error=type(error).__name__)
            return
        except TimeoutError:
            log.warning("client_stalled")
            return
    finally:
        await response.aclose()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class ClientWatch:
    """Cancels the running request when its client goes away, so that services stop working on it.

    Use it around the wait for an answer, after the request's body was read.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.client_gone = False

    async def __aenter__(self) -> "ClientWatch":
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._watcher = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self._watcher.cancel()
        if kind is not asyncio.CancelledError or not self.client_gone:
            return False
        # Somebody else may want the task to end too (shutdown): then it does.
        return self._task.uncancel() == 0

    async def _watch(self) -> None:
        message: Message = {"type": "http.request"}
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self.client_gone = True
        self._task.cancel()
