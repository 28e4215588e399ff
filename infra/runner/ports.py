"""Ports for the services behind the gateway, ours for as long as the runner lives."""

import socket

import psutil

LOOPBACK = "127.0.0.1"


def _winding_down(port: int) -> bool:
    return any(
        connection.status == psutil.CONN_TIME_WAIT and connection.laddr == (LOOPBACK, port)
        for connection in psutil.net_connections("tcp4")
    )


class PortTaken(Exception):
    """Somebody else listens on this port."""


class Ports:
    """Reserves ports on the loopback interface.

    A reservation is a socket that is bound and never listens. Two such sockets do not share a
    port, so side-by-side instances never pick the same; a server that sets SO_REUSEADDR, as
    asyncio's do, may listen beside one, and between two lives of that server the port is neither
    given away nor do callers hang: they are refused.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def reserve(self, port: int = 0) -> int:
        """`port`, or a free one for 0; raises `PortTaken`."""
        holder = socket.socket()
        if port and _winding_down(port):
            # Closed connections of our last run; a listener beside them is refused all the same.
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind((LOOPBACK, port))
        except OSError as error:
            holder.close()
            raise PortTaken(f"Port {port} is in use: {error.strerror}.") from error
        # Only after bind: with it from the start, the check for other holders would not happen.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(holder)
        return int(holder.getsockname()[1])

    def close(self) -> None:
        for holder in self._held:
            holder.close()
        self._held.clear()
