"""Unpacks request bodies, told by their first bytes and bounded while it unpacks."""

import zlib
from collections.abc import Callable
from io import BytesIO

import zstandard

from services.kit.problems import BodyTooLarge, MalformedBody

MAX_MEMBERS = 64
_CHUNK = 64 * 1024
_MAX_WINDOW = 8 * 1024 * 1024
_GZIP_WINDOW, _ZLIB_WINDOW = 31, 15


def inflate(body: bytes, limit: int) -> bytes:
    """``body`` unpacked if it looks like gzip, zlib or zstd; no JSON begins like one of these.

    Some SDKs send no header for it. Stops at ``limit`` unpacked bytes (``BodyTooLarge``), so that a
    bomb costs no more than an honest body. ``MalformedBody`` where it is damaged.
    """
    if body[:1] in _JSON:
        return body
    for magic, unpack in _UNPACKERS:
        if body.startswith(magic):
            return unpack(body, limit)
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    return _deflated(body, limit, _GZIP_WINDOW)


def _zlib(body: bytes, limit: int) -> bytes:
    return _deflated(body, limit, _ZLIB_WINDOW)


def _deflated(body: bytes, limit: int, window: int) -> bytes:
    found: list[bytes] = []
    room, at = limit, 0
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(window)
        while not stream.eof:
            # In pieces: what follows a member is copied, which must not be all of a large body.
            piece = body[at : at + _CHUNK]
            if not piece:
                raise MalformedBody("The packed body ends too early.")
            at += len(piece)
            try:
                part = stream.decompress(piece, room + 1)
            except zlib.error as error:
                raise MalformedBody("The packed body is damaged.") from error
            room -= len(part)
            if room < 0:
                raise _too_large(limit)
            found.append(part)
        at -= len(stream.unused_data)
        if window != _GZIP_WINDOW or not body.startswith(_GZIP, at):
            return b"".join(found)
    raise MalformedBody(f"At most {MAX_MEMBERS} gzip members are accepted in one body.")


def _zstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(BytesIO(body))
    try:
        text = reader.read(limit + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise MalformedBody("The packed body is damaged.") from error
    if len(text) > limit:
        raise _too_large(limit)
    return text


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {limit} unpacked bytes are accepted here.")


_JSON = (b"{", b"[")
_GZIP = b"\x1f\x8b"
_UNPACKERS: tuple[tuple[bytes, Callable[[bytes, int], bytes]], ...] = (
    (_GZIP, _gzip),
    (b"\x28\xb5\x2f\xfd", _zstd),
    # RFC 1950: deflate with a 32 KiB window, at its four levels.
    *((bytes((0x78, flags)), _zlib) for flags in (0x01, 0x5E, 0x9C, 0xDA)),
)
