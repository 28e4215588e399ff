"""Answers leave in one packet, and a stream's head does not wait for its first piece."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from services.kit.server import JoinedWrites
from tests.gateway.support import serving

pytestmark = pytest.mark.anyio

HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}


class Recorder(asyncio.Transport):
    """What is written, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed_after = -1

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed_after = len(self.written)


@pytest.fixture
def transport() -> Recorder:
    return Recorder()


@pytest.fixture
async def joined(transport: Recorder) -> JoinedWrites:
    return JoinedWrites(transport, asyncio.get_running_loop())


async def test_head_and_body_are_one_write(joined: JoinedWrites, transport: Recorder) -> None:
    for number in range(2):
        joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
        joined.write(b"%d" % number)
    assert transport.written == [b"HTTP/1.1 200 OK\r\n\r\n0", b"HTTP/1.1 200 OK\r\n\r\n1"]
    await asyncio.sleep(0)
    assert len(transport.written) == 2


async def test_a_head_whose_body_is_late_goes_ahead(
    joined: JoinedWrites, transport: Recorder
) -> None:
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await asyncio.sleep(0)
    joined.write(b"HTTP/1.1 is what this piece of a body says")
    assert transport.written == [b"HTTP/1.1 200 OK\r\n\r\n"]
    await asyncio.sleep(0)
    assert transport.written[1:] == [b"HTTP/1.1 is what this piece of a body says"]


async def test_what_is_held_is_written_before_the_end(
    joined: JoinedWrites, transport: Recorder
) -> None:
    joined.write(b"HTTP/1.1 200 OK\r\n\r\n")
    joined.close()
    assert (transport.written, transport.closed_after) == ([b"HTTP/1.1 200 OK\r\n\r\n"], 1)


async def test_a_stream_s_head_reaches_the_client_before_its_first_piece() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(HEAD)
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app, lifespan=False) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        go_on.set()
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
        writer.close()
