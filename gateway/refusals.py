"""Refuses requests that two servers in a row could read differently, before anything else looks.

The HTTP parser in front of us already refuses broken framing; these are the cases it passes on.
"""

import re

from starlette.types import Scope

from gateway.errors import AddressTooLong, BadRequest, HeadersTooLarge

MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024
MAX_ADDRESS_BYTES = 16 * 1024

_ENCODED_SEPARATOR = re.compile(rb"%(2f|5c|00)|\\", re.IGNORECASE)
_FRAMING = (b"transfer-encoding", b"content-length")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_DOT_SEGMENTS = {".", ".."}


def refuse_ambiguous(scope: Scope) -> None:
    """Raises the problem for a request that is not to be read at all."""
    _refuse_headers(scope["headers"])
    _refuse_address(scope)


def _refuse_headers(headers: list[tuple[bytes, bytes]]) -> None:
    if len(headers) > MAX_HEADERS:
        raise HeadersTooLarge(f"At most {MAX_HEADERS} headers are accepted.")
    size = 0
    framing: dict[bytes, list[bytes]] = {b"host": [], **{name: [] for name in _FRAMING}}
    for name, value in headers:
        size += len(name) + len(value)
        if name in framing:
            framing[name].append(value)
        elif b"_" in name:
            raise BadRequest("Header names with an underscore are not accepted.")
    if size > MAX_HEADER_BYTES:
        raise HeadersTooLarge(f"At most {MAX_HEADER_BYTES} bytes of headers are accepted.")
    if len(framing[b"host"]) != 1:
        raise BadRequest("Exactly one Host header is needed.")
    _refuse_framing(*(framing[name] for name in _FRAMING))


def _refuse_framing(codings: list[bytes], lengths: list[bytes]) -> None:
    if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked" or lengths):
        raise BadRequest("Transfer-Encoding may only be chunked, and without a Content-Length.")
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(length) for length in lengths):
        raise BadRequest("Content-Length is one plain number.")


def _refuse_address(scope: Scope) -> None:
    raw: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    if len(raw) + len(query) > MAX_ADDRESS_BYTES:
        raise AddressTooLong(f"At most {MAX_ADDRESS_BYTES} bytes of path and query are accepted.")
    if not (raw.isascii() and query.isascii()):
        raise BadRequest("Percent-encode what is not ASCII in the address.")
    if _ENCODED_SEPARATOR.search(raw):
        raise BadRequest("Encoded slashes, backslashes and NUL are not accepted in a path.")
    if not _DOT_SEGMENTS.isdisjoint(scope["path"].split("/")):
        raise BadRequest("Dot segments are not accepted in a path.")
