"""Connections that end in the moment they are made."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread

import httpx2
import pytest
import uvloop

from services.kit import connect

# Under uvloop one in nine is gone before the pool has looked at it.
ATTEMPTS = 300
RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def resetting() -> Iterator[str]:
    """The address of a server that resets each connection as soon as it is there."""

    def serve() -> None:
        # An error of `accept` is the end: the listener is shut down.
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield "http://{}:{}".format(*listener.getsockname())
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_connection_reset_at_once_is_an_error_of_the_transport(resetting: str) -> None:
    async def ask() -> None:
        limits = httpx2.Limits(max_connections=1)
        async with httpx2.AsyncClient(transport=connect.transport(limits)) as client:
            for _ in range(ATTEMPTS):
                with pytest.raises(httpx2.TransportError):
                    await client.get(resetting)

    uvloop.run(ask())
