"""Reads request bodies, bounded in size and time."""

import asyncio
from collections.abc import Callable

from starlette.types import Receive

from gateway.errors import BodyTooSlow
from services.kit.problems import BodyTooLarge

READ_SECONDS = 60.0


class ClientGone(Exception):
    """The client went away before its request was complete: nothing of it may be used."""


async def read(
    receive: Receive,
    limit: int,
    declared: bytes | None,
    came: Callable[[int], None] = lambda _: None,
) -> bytes:
    """The whole body; ``declared`` is its Content-Length, if it came with one. ``came`` is told the
    size of each piece, and may raise.

    Raises ``BodyTooLarge`` as soon as ``limit`` bytes are passed, ``BodyTooSlow``, ``ClientGone``.
    """
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await _whole(receive, limit, came)
    except TimeoutError as error:
        raise BodyTooSlow(f"The body has to arrive within {READ_SECONDS:.0f} seconds.") from error


async def _whole(receive: Receive, limit: int, came: Callable[[int], None]) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        came(len(chunk))
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int) -> BodyTooLarge:
    # Answered at once; the server throws the rest away as it comes. Closing the connection instead
    # would reset it, and an SDK that never sees the 413 sends the same body again and again.
    return BodyTooLarge(f"At most {limit} bytes are accepted here.")
