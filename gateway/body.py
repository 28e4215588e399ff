"""Reads request bodies, bounded in size and time."""

import asyncio

from starlette.types import Receive

from gateway.errors import BodyTooSlow
from services.kit.problems import BodyTooLarge

READ_SECONDS = 60.0


class ClientGone(Exception):
    """The client went away before its request was complete: nothing of it may be used."""


async def read(receive: Receive, limit: int, declared: bytes | None) -> bytes:
    """The whole body; ``declared`` is its Content-Length, if it came with one.

    Raises ``BodyTooLarge`` as soon as ``limit`` bytes are passed, ``BodyTooSlow``, ``ClientGone``.
    """
    if declared is not None and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
    except TimeoutError as error:
        raise BodyTooSlow(f"The body has to arrive within {READ_SECONDS:.0f} seconds.") from error


def _too_large(limit: int) -> BodyTooLarge:
    # Answered at once; the server throws the rest away as it comes. Closing the connection instead
    # would reset it, and an SDK that never sees the 413 sends the same body again and again.
    return BodyTooLarge(f"At most {limit} bytes are accepted here.")
