"""A TCP proxy that breaks connections in the ways networks do.

It runs in a thread of its own; faults are switched from the test's. ``upstream`` is asked anew for
every connection: where the other side listens, None while it does not.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType

Address = tuple[str, int] | Path
"""Host and port, or a Unix socket."""
_CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Faults:
    latency_seconds: float = 0.0
    """Before each piece, in each direction."""
    reset_share: float = 0.0
    """Probability that a piece resets its connection instead of arriving."""
    bytes_per_second: float | None = None
    refused: bool = False
    """New connections are closed at once."""


class FaultProxy:
    """``with FaultProxy(lambda: ("127.0.0.1", 5432)) as proxy:`` listens on ``proxy.port``."""

    def __init__(self, upstream: Callable[[], Address | None], seed: int = 0) -> None:
        self.faults = Faults()
        self.port = 0
        self._upstream = upstream
        self._random = random.Random(seed)  # noqa: S311
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._started = Event()
        self._thread = Thread(target=self._run, name="fault proxy", daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def cut(self) -> None:
        """Resets every connection; new ones are refused until ``heal``."""
        self.faults = Faults(refused=True)
        self._loop.call_soon_threadsafe(self._reset, False)

    def half_open(self) -> None:
        """Existing connections carry nothing any more, and neither side is told. New ones work."""
        self._loop.call_soon_threadsafe(self._silence)

    def heal(self) -> None:
        """No faults; connections that were half open are reset, as what they carried is lost."""
        self.faults = Faults()
        self._loop.call_soon_threadsafe(self._reset, True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK_BYTES)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._reset(False)
        # Everything is reset, so they end by themselves.
        if left := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.close()

    def _silence(self) -> None:
        for pair in self._pairs:
            pair.silent = True

    def _reset(self, only_silent: bool) -> None:
        for pair in list(self._pairs):
            if pair.silent or not only_silent:
                pair.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back = None
        try:
            address = None if self.faults.refused else self._upstream()
            if address is not None:
                there, back = await _connect(address)
        except OSError:
            # It does not listen at the moment; any other error is one of the test's, and shown.
            pass
        finally:
            if back is None:
                _reset(writer)
        if back is None:
            return
        pair = _Pair(self, writer, back)
        self._pairs.add(pair)
        try:
            await asyncio.gather(pair.carry(reader, back), pair.carry(there, writer))
        finally:
            self._pairs.discard(pair)
            pair.reset()

    def chance(self, share: float) -> bool:
        return share > 0 and self._random.random() < share


class _Pair:
    """A client's connection and ours to its server."""

    def __init__(
        self, proxy: FaultProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._writers = (client, server)
        self.silent = False
        self._over = asyncio.Event()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until its end or a reset."""
        try:
            while piece := await reader.read(_CHUNK_BYTES):
                faults = self._proxy.faults
                if self._proxy.chance(faults.reset_share):
                    self.reset()
                    return
                await asyncio.sleep(faults.latency_seconds)
                if faults.bytes_per_second is not None:
                    await asyncio.sleep(len(piece) / faults.bytes_per_second)
                if not self.silent:
                    writer.write(piece)
                    await writer.drain()
            if self.silent:
                # Neither does the other side hear of the end.
                await self._over.wait()
        except OSError:
            self.reset()
        finally:
            writer.close()

    def reset(self) -> None:
        self._over.set()
        for writer in self._writers:
            _reset(writer)


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(str(address))
    return await asyncio.open_connection(*address)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side is told by RST."""
    if writer.is_closing():
        return
    connection = writer.get_extra_info("socket")
    if connection.family == socket.AF_INET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
