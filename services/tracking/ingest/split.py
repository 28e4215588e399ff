"""Cuts JSON text into its members and elements without reading them. Pure.

For bodies that are not strict JSON as a whole: one event with NaN, half a surrogate, a raw control
character or a hundred thousand brackets must not cost its neighbours. Nothing here recurses.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|["{}\[\],:]', re.DOTALL)


class NotSplittable(ValueError):
    """Brackets or quotes do not pair, so nobody can say where one part ends."""


def members(text: bytes) -> dict[bytes, bytes]:
    """The members of an object: key between its quotes → text of the value; the last one counts."""
    found: dict[bytes, bytes] = {}
    for part in _parts(text, b"{", b"}"):
        key = _TOKEN.match(part)
        if key is None or not part.startswith(b'"') or part[key.end() :].lstrip()[:1] != b":":
            raise NotSplittable("A key and a colon are expected.")
        found[key[0][1:-1]] = part[key.end() :].lstrip()[1:].strip()
    return found


def elements(text: bytes) -> list[bytes]:
    """The texts of an array's elements."""
    return list(_parts(text, b"[", b"]"))


def _parts(text: bytes, opening: bytes, closing: bytes) -> Iterator[bytes]:
    text = text.strip()
    if text[:1] != opening or text[-1:] != closing:
        raise NotSplittable("Another kind of value is expected.")
    depth, start, end = 0, 1, len(text) - 1
    for token in _TOKEN.finditer(text):
        kind = token[0]
        if kind in (b"{", b"["):
            depth += 1
        elif kind in (b"}", b"]"):
            depth -= 1
            if depth == 0 and token.start() != end:
                raise NotSplittable("A bracket closes too early.")
        elif kind == b'"':
            raise NotSplittable("A string does not end.")
        elif kind == b"," and depth == 1:
            yield text[start : token.start()].strip()
            start = token.end()
    if depth:
        raise NotSplittable("A bracket is not closed.")
    last = text[start:end].strip()
    if last or start > 1:
        yield last
