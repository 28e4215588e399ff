"""Raw request bodies: no gate on the content type, gzip recognised by its first bytes, bounded."""

import zlib

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.kit.problems import BodyTooLarge, MalformedBody

MAX_BYTES = 5 * 1024 * 1024
"""The largest batch a supported SDK sends; less would lose whole batches with a 413."""

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31
_MAX_MEMBERS = 64


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


def inflate(body: bytes, limit: int = MAX_BYTES) -> bytes:
    """Gunzips what looks like gzip, whatever the headers say (some SDKs send none).

    Stops at ``limit`` inflated bytes, so that a bomb costs no more than an honest body.
    """
    if not body.startswith(_GZIP):
        return body
    found: list[bytes] = []
    room = limit + 1
    # Each member copies what follows it: without a bound, empty members cost quadratic time.
    while body.startswith(_GZIP) and room > 0 and len(found) < _MAX_MEMBERS:
        stream = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = stream.decompress(body, room)
        except zlib.error as error:
            raise MalformedBody("The body is not valid gzip.") from error
        room -= len(part)
        found.append(part)
        if room > 0 and not stream.eof:
            raise MalformedBody("The gzip body ends too early.")
        body = stream.unused_data
    if room <= 0:
        raise BodyTooLarge(f"At most {limit} inflated bytes are accepted here.")
    return b"".join(found)
