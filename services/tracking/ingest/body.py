"""Raw request bodies: no gate on the content type, bounded as sent and as unpacked."""

from starlette.requests import Request

from services.kit import inflate as kit
from services.kit.problems import BodyTooLarge

MAX_BYTES = 5 * 1024 * 1024
"""The largest batch a supported SDK sends; less would lose whole batches with a 413."""


async def read(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The body as sent, at most ``limit`` bytes; ``BodyTooLarge`` beyond."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"At most {limit} bytes are accepted here.")
        chunks.append(chunk)
    return b"".join(chunks)


def inflate(body: bytes) -> bytes:
    """Unpacked, whatever the headers say; ``MalformedBody`` or ``BodyTooLarge``."""
    return kit.inflate(body, MAX_BYTES)
