"""Append-only feeds of blocks: the codec, the wire form, the append rule and the reader.

A row holds one block of entries. Offsets are per partition, start at 1, have no gaps, and become
visible in their order: an append takes an advisory lock that is held until its commit, so no reader
can pass a row that commits late.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import zstandard
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.http import ServiceClient
from services.kit.problems import Unavailable

T = TypeVar("T")

MEDIA_TYPE = "application/x-msgpack"
MAX_WAIT_SECONDS = 10.0
MAX_PAGE_BYTES = 8 * 1024 * 1024
_SMALL_BLOCK_BYTES = 2048
"""Up to here compression's tables cost more than what they save (2.6 in place of 6 µs)."""
_MAX_BLOCK_BYTES = 256 * 1024 * 1024

_encoder = msgspec.msgpack.Encoder()


class _Codec(threading.local):
    """Each thread's own, as they may not be shared. Made anew they cost ten times a small block."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.small_compressor = zstandard.ZstdCompressor(level=-1)
        self.decompressor = zstandard.ZstdDecompressor()


_codec = _Codec()


class FeedRow(msgspec.Struct):
    """One block. ``drop`` is a bitmap: bit i set (LSB first) = entry i is a duplicate."""

    offset: int
    count: int
    at: int
    """When the row was appended, ms since the epoch."""
    data: bytes
    drop: bytes | None = None

    def entries(self, kind: type[T]) -> list[T]:
        """The entries that count, duplicates left out."""
        return unpack(self.data, kind) if self.drop is None else [e for _, e in self.places(kind)]

    def places(self, kind: type[T]) -> list[tuple[int, T]]:
        """The entries that count, each with its place in the block, which never changes."""
        found, drop = enumerate(unpack(self.data, kind)), self.drop
        return [(i, e) for i, e in found if drop is None or not drop[i >> 3] >> (i & 7) & 1]


class FeedPage(msgspec.Struct):
    """Rows after the asked offset; ``end`` is the last offset that can be read now."""

    rows: list[FeedRow]
    end: int


def pack(entries: Sequence[Any]) -> bytes:
    """Entries (dataclasses, structs or plain values) → zstd(msgpack)."""
    try:
        data = _encoder.encode(entries)
    except OverflowError:
        data = _encoder.encode(_with_doubles(msgspec.to_builtins(entries, builtin_types=(bytes,))))
    codec = _codec
    small = len(data) <= _SMALL_BLOCK_BYTES
    return (codec.small_compressor if small else codec.compressor).compress(data)


def _with_doubles(value: Any) -> Any:
    """MessagePack holds 64 bits; PostgreSQL turns even a double like 1e30 into an integer, so one
    may come out of a column. Feeds carry the nearest double: a value must never stop a feed."""
    if isinstance(value, dict):
        return {key: _with_doubles(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_doubles(inner) for inner in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return max(-sys.float_info.max, min(sys.float_info.max, value)) * 1.0
    return value


def unpack(data: bytes, kind: type[T]) -> list[T]:
    raw = _codec.decompressor.decompress(data, max_output_size=_MAX_BLOCK_BYTES)
    return msgspec.msgpack.decode(raw, type=list[kind])  # type: ignore[valid-type]


def encode_page(page: FeedPage) -> bytes:
    return _encoder.encode(page)


def decode_page(data: bytes) -> FeedPage:
    return msgspec.msgpack.decode(data, type=FeedPage)


async def lock_partition(session: AsyncSession, feed: str, partition: str) -> None:
    """Serialise appends of one partition until this transaction ends (sequence = commit order)."""
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"),
        {"name": f"{feed}:{partition}"},
    )


class Bell:
    """Wakes long polls of one process when a partition may have grown."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self.closed = False
        """The process is about to end: polls answer what there is instead of waiting."""

    def ring(self, partition: str) -> None:
        event = self._events.pop(partition, None)
        if event is not None:
            event.set()

    def listen(self, partition: str) -> asyncio.Event:
        """Set by the next ring. Listen before you read: a ring in between is not missed then."""
        return self._events.setdefault(partition, asyncio.Event())

    def close(self) -> None:
        """Wakes whoever waits; a poll that is still under way at the end would be cut off."""
        self.closed = True
        for partition in list(self._events):
            self.ring(partition)


class FeedClient:
    """Reads another service's feed by long poll."""

    def __init__(self, client: ServiceClient, path: str) -> None:
        """``path`` is ``/internal/v1/log`` or ``/internal/v1/feed``."""
        self._client = client
        self._path = path

    async def partitions(self) -> list[str]:
        response = await self._client.request("GET", f"{self._path}/partitions")
        response.raise_for_status()
        return list(response.json()["partitions"])

    async def read(
        self,
        partition: str,
        after: int,
        *,
        limit: int = 200,
        wait: float = MAX_WAIT_SECONDS,
        workspace_id: UUID | None = None,
        done: int | None = None,
    ) -> FeedPage:
        """One page after ``after``; empty when nothing came within ``wait`` seconds.

        ``done`` tells up to where the reader will never read again: what it has committed, which
        may be less than ``after`` where it reads ahead.
        """
        told = {} if done is None else {"done": done}
        response = await self._client.request(
            "GET",
            self._path,
            params={"partition": partition, "after": after, "limit": limit, "wait": wait, **told},
            workspace_id=workspace_id,
        )
        response.raise_for_status()
        return decode_page(response.content)

    async def follow(
        self,
        partition: str,
        after: int,
        *,
        limit: int = 200,
        done: Callable[[], int] | None = None,
    ) -> AsyncIterator[FeedPage]:
        """Pages for ever, empty ones left out. Outages of the other side are waited over."""
        backoff = 0.1
        while True:
            try:
                page = await self.read(
                    partition, after, limit=limit, done=None if done is None else done()
                )
            except Unavailable:
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, 5.0)
                continue
            backoff = 0.1
            if page.rows:
                after = page.rows[-1].offset
                yield page
