"""Reserving ports: what is taken is refused, what is only winding down is not."""

import socket

import pytest

from infra.runner.ports import LOOPBACK, Ports, PortTaken


def test_a_port_with_a_listener_is_refused() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=str(port)):
            Ports().reserve(port)


def test_a_port_whose_last_connections_are_winding_down_is_ours() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)) as client:
            # The side that closes first keeps the port in TIME_WAIT.
            listener.accept()[0].close()
            assert client.recv(1) == b""
    ports = Ports()
    assert ports.reserve(port) == port
    ports.close()


def test_free_ports_are_never_given_twice() -> None:
    first, second = Ports(), Ports()
    given = [ports.reserve() for ports in (first, second) for _ in range(20)]
    assert len(set(given)) == 40
    first.close()
    second.close()
