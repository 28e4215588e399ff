"""Raw request bodies: no gate on the content type, bounded as sent and as unpacked."""

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.kit import inflate as kit
from services.kit.problems import BodyTooLarge

MAX_BYTES = 5 * 1024 * 1024
"""The largest batch a supported SDK sends; less would lose whole batches with a 413."""


async def read(receive: Receive, limit: int = MAX_BYTES) -> bytes:
    """The body as sent, at most ``limit`` bytes; ``BodyTooLarge`` beyond, ``ClientDisconnect``
    where it ends too early."""
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"At most {limit} bytes are accepted here.")
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def inflate(body: bytes) -> bytes:
    """Unpacked, whatever the headers say; ``MalformedBody`` or ``BodyTooLarge``."""
    return kit.inflate(body, MAX_BYTES)
