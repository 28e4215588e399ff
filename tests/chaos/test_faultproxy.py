"""The fault proxy breaks what it says it breaks, and nothing else."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.faultproxy import FaultProxy, Faults

_PATIENCE_SECONDS = 5.0
_SHORT_SECONDS = 0.2
Ends = tuple[socket.socket, socket.socket]
Connect = Callable[[], Ends]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[FaultProxy]:
    with FaultProxy(lambda: listener.getsockname()) as proxy:
        yield proxy


@pytest.fixture
def connect(listener: socket.socket, proxy: FaultProxy) -> Iterator[Connect]:
    """Makes a connection through the proxy: its client's and its server's end."""
    made: list[socket.socket] = []

    def ends() -> Ends:
        client = socket.create_connection(("127.0.0.1", proxy.port))
        client.settimeout(_PATIENCE_SECONDS)
        server, _ = listener.accept()
        server.settimeout(_PATIENCE_SECONDS)
        made.extend((client, server))
        return client, server

    yield ends
    for each in made:
        each.close()


def _hears(end: socket.socket, what: bytes) -> bool:
    return end.recv(100) == what


def _hears_nothing(end: socket.socket) -> bool:
    end.settimeout(_SHORT_SECONDS)
    try:
        end.recv(100)
    except TimeoutError:
        return True
    finally:
        end.settimeout(_PATIENCE_SECONDS)
    return False


def _is_reset(end: socket.socket) -> bool:
    try:
        end.recv(100)
    except ConnectionResetError:
        return True
    return False


def test_without_faults_it_carries_both_ways_and_passes_ends_and_resets_on(
    connect: Connect,
) -> None:
    client, server = connect()
    client.send(b"hello")
    assert _hears(server, b"hello")
    server.send(b"there")
    assert _hears(client, b"there")
    client.close()
    assert _hears(server, b"")
    client, server = connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    # As a killed process's connection ends; its server must hear of it.
    server.settimeout(_PATIENCE_SECONDS)
    assert _is_reset(server) or _hears(server, b"")


def test_a_cut_resets_both_ends_and_refuses_new_connections_until_healed(
    proxy: FaultProxy, connect: Connect
) -> None:
    ends = connect()
    ends[0].send(b"x")
    assert _hears(ends[1], b"x")
    proxy.cut()
    assert all(_is_reset(end) for end in ends)
    with socket.create_connection(("127.0.0.1", proxy.port)) as refused:
        refused.settimeout(_PATIENCE_SECONDS)
        assert _is_reset(refused)
    proxy.heal()
    client, server = connect()
    client.send(b"again")
    assert _hears(server, b"again")


def test_a_half_open_connection_is_silent_for_both_until_it_is_reset(
    proxy: FaultProxy, connect: Connect
) -> None:
    client, server = connect()
    client.send(b"x")
    assert _hears(server, b"x")
    proxy.half_open()
    _, new = other = connect()
    other[0].send(b"new")
    assert _hears(new, b"new")
    client.send(b"lost")
    assert _hears_nothing(server)
    proxy.heal()
    assert _is_reset(client)
    assert _is_reset(server)


def test_pieces_come_late_slowly_or_not_at_all(proxy: FaultProxy, connect: Connect) -> None:
    for slow in (Faults(latency_seconds=0.3), Faults(bytes_per_second=30)):
        proxy.faults = slow
        client, server = connect()
        began = time.monotonic()
        client.send(b"ten bytes.")
        assert _hears(server, b"ten bytes.")
        assert time.monotonic() - began > 0.2
    proxy.faults = Faults(reset_share=1)
    client, server = connect()
    client.send(b"x")
    assert _is_reset(client)
    assert _is_reset(server)
