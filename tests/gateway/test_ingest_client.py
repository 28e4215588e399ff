"""The gateway's own client holds out against what ingest processes and networks can do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway import ingest_client
from gateway.errors import BadRequest, UpstreamUnavailable
from gateway.ingest_client import IngestClient
from gateway.proxy import Headers, Outgoing

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Id: 7\r\n\r\nok"
Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


def post(body: bytes = b"{}", headers: Headers | None = None, target: bytes = b"/v1/t") -> Outgoing:
    return Outgoing("POST", target, headers or [], body, repeatable=True)


@dataclass
class Peer:
    """A server that answers request by request with what it is told."""

    answers: list[bytes | Answering]
    port: int = 0
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            answer = self.answers.pop(0)
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def peer(*answers: bytes | Answering) -> AsyncIterator[tuple[Peer, IngestClient]]:
    told = Peer(list(answers))
    server = await asyncio.start_server(told.talk, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    client = IngestClient("ingest", [f"http://127.0.0.1:{told.port}/"], read_seconds=5.0)
    async with server:
        yield told, client
        client.close()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_connection_is_used_again_and_answers_come_whole() -> None:
    async with peer(OK, OK, OK) as (told, client):
        for body in (b"", b"{}", b"x" * 100_000):
            answer = await client.send(post(body, [(b"x-key-place", b"basic")]))
            assert (answer.status, answer.body) == (200, b"ok")
            assert (b"X-Id", b"7") in answer.headers
    assert told.connections == 1
    assert [request.partition(b"\r\n\r\n")[2] for request in told.requests] == [
        *(b"", b"{}", b"x" * 100_000)
    ]
    assert b"POST /v1/t HTTP/1.1\r\nhost: 127.0.0.1" in told.requests[0]
    assert b"\r\nx-key-place: basic\r\n" in told.requests[0]


async def test_an_answer_in_chunks_and_pieces_is_put_together() -> None:
    async def in_pieces(writer: asyncio.StreamWriter) -> None:
        for piece in (
            b"HTTP/1.1 503 No\r\nTransfer-",
            b"Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
        ):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with peer(in_pieces) as (_, client):
        answer = await client.send(post())
    assert (answer.status, answer.body) == (503, b"ab")


@pytest.mark.parametrize(
    "broken",
    [
        hang_up,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"this is no HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 8\r\n\r\n12345678",
    ],
)
async def test_a_broken_answer_is_asked_for_again_and_never_passed_on(
    broken: bytes | Answering,
) -> None:
    async def and_hang_up(writer: asyncio.StreamWriter) -> None:
        assert isinstance(broken, bytes)
        writer.write(broken)
        writer.close()

    first = and_hang_up if isinstance(broken, bytes) else broken
    async with peer(first, OK) as (told, client):
        answer = await client.send(post())
    assert (answer.status, answer.body, len(told.requests)) == (200, b"ok", 2)


async def test_what_may_not_be_sent_twice_is_not() -> None:
    async with peer(hang_up, OK) as (told, client):
        with pytest.raises(UpstreamUnavailable):
            await client.send(Outgoing("POST", b"/v1/t", [], b"{}", repeatable=False))
    assert len(told.requests) == 1


async def test_a_process_that_stays_silent_is_given_up_and_its_late_answer_dropped() -> None:
    released = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await released.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    async with peer(late, OK) as (told, _):
        client = IngestClient("ingest", [f"http://127.0.0.1:{told.port}"], read_seconds=0.05)
        with pytest.raises(UpstreamUnavailable):
            await client.send(post())
        released.set()
        answer = await client.send(post())
    assert answer.body == b"ok"
    assert told.connections == 2


async def test_a_request_given_up_by_its_sender_leaves_no_answer_behind() -> None:
    asked = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with peer(slow, OK) as (told, client):
        task = asyncio.create_task(client.send(post()))
        await asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await client.send(post())).body == b"ok"
    assert told.connections == 2


async def test_an_answer_larger_than_any_of_ours_is_not_gathered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_client, "MAX_ANSWER_BYTES", 10)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"x" * 11
    async with peer(large, large) as (_, client):
        with pytest.raises(UpstreamUnavailable):
            await client.send(post())


async def test_more_requests_than_connections_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_client, "MAX_CONNECTIONS", 1)
    asked, released = asyncio.Event(), asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await released.wait()
        writer.write(OK)

    async with peer(slow, OK) as (_, client):
        first = asyncio.create_task(client.send(post()))
        await asked.wait()
        with pytest.raises(UpstreamUnavailable):
            await client.send(post())
        released.set()
        assert (await first).status == 200
        assert (await client.send(post())).status == 200


async def test_a_connection_that_ingest_has_closed_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_client, "IDLE_SECONDS", -1.0)
    async with peer(OK, OK) as (told, client):
        for _ in range(2):
            assert (await client.send(post())).status == 200
    assert told.connections == 2


@pytest.mark.parametrize(
    "outgoing",
    [
        post(headers=[(b"x-a", b"1\r\nx-b: 2")]),
        post(headers=[(b"x-a", b"1\nx-b: 2")]),
        post(headers=[(b"x-a\r\nx-b", b"1")]),
        post(headers=[(b"x-a", b"\x00")]),
        post(target=b"/v1/t HTTP/1.1\r\nx-a: 1\r\n\r\n"),
        post(target=b"/v1/t?a=\x01"),
    ],
)
async def test_nothing_that_would_become_another_request_is_written(outgoing: Outgoing) -> None:
    async with peer(OK) as (told, client):
        with pytest.raises(BadRequest):
            await client.send(outgoing)
    assert told.requests == []


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="http"):
        IngestClient("ingest", ["ftp://127.0.0.1"], 1.0)
