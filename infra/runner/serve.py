"""Runs one service's app: ``python -m infra.runner.serve APP PORT RUNNER_PID``."""

import asyncio
import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from importlib import import_module

import uvicorn

from infra.runner.parent import end_with_parent
from infra.runner.ports import LOOPBACK
from services.kit.feeds import Bell
from services.kit.server import Protocol

# Open requests and streams get this long at a stop; the whole platform has 15 seconds.
GRACE_SECONDS = 3
_LOOK_SECONDS = 0.05
DRAIN_LOOKS = 10
"""A connection on which a request comes in so long after the signal is told that it ends."""
LAST_LOOKS = 6
"""And so long what came last has time to be accepted and read. Counted in turns of the event loop,
not in seconds: on a busy machine one turn may take longer than all of them should."""
_SO_ATTACH_FILTER = 26
_NO_SYN = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x45, 0, 1, 0x02),  # SYN set? the next one, else the one after it
    (0x06, 0, 0, 0),  # keep nothing of the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all of it
)
"""A program of the kernel's packet filter: operation, jumps if true and if false, operand."""


class Draining(uvicorn.Server):
    """Ends connections by telling their clients, in an answer, before it closes any.

    uvicorn by itself closes what looks idle at once: a request that is on its way on such a
    connection, or on a new one, is then reset instead of answered.
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state = self.server_state
        state.default_headers = [*state.default_headers, (b"connection", b"close")]
        await self._drained(DRAIN_LOOKS)
        for server in self.servers:
            for listener in server.sockets:
                _take_no_more(listener.fileno())
        # Not before: who is answered now comes again at once, and finds nobody.
        for each in self.lifespan.state.values():
            if isinstance(each, Bell):
                each.close()
        await self._drained(LAST_LOOKS)
        await super().shutdown(sockets)

    async def _drained(self, looks: int) -> None:
        """Returns after ``looks``, or as soon as no connection is left."""
        for _ in range(looks):
            # Before the first look, too: what waits in the listener is no connection yet.
            await asyncio.sleep(_LOOK_SECONDS)
            if not self.server_state.connections:
                return


def _take_no_more(listener: int) -> None:
    """New connections are not begun on this socket; those that were can still be accepted.

    Closing it resets them, requests and all. So a filter that keeps only SYN packets out goes on
    it first: who comes now knocks again a second later and is refused. Only Linux knows how.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    attached = struct.pack("HP", len(_NO_SYN), ctypes.addressof(program))
    with socket.socket(fileno=os.dup(listener)) as ours:
        ours.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)


def main(app: str, port: int, parent: int) -> None:
    end_with_parent(parent)
    import_module(app.partition(":")[0])
    # Loading takes longer than migrating, so the runner has us do it at the same time and closes
    # our input when the database is ready. A restarted child finds it closed already.
    sys.stdin.buffer.read()
    config = uvicorn.Config(
        app,
        factory=True,
        host=LOOPBACK,
        port=port,
        loop="uvloop",
        http=Protocol,
        access_log=False,
        server_header=False,
        # Only the gateway has a client whose address matters; it may stand behind a proxy.
        proxy_headers=app.startswith("gateway."),
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with suppress(KeyboardInterrupt):
        Draining(config).run()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
