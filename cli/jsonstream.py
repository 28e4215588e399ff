"""Cut a stream of bytes into the values of a JSON array, or of JSON values one after another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# A whole string, an open string, or a bracket: all that is needed to find where a value ends.
# The possessive parts keep a long string from being tried twice (no backtracking).
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[\[\]{}]', re.DOTALL)
_GAP = re.compile(rb"[\s,\x1e]*+")
_BARE = re.compile(rb"[^\s,\[\]{}]*+")
_CLOSING = {b"{": b"}", b"[": b"]"}
_NEXT_OBJECT = re.compile(rb"\n[ \t]*\{")


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands in the place of a value that could not be cut out."""

    reason: str


def json_values(chunks: Iterable[bytes], max_bytes: int) -> Iterator[tuple[int, bytes | Malformed]]:
    """Yield (line the value starts on, its bytes) for every item of the array or of the sequence.

    Values are cut by their brackets only; whether one is valid JSON is for the caller to find.
    A value that never ends, or has more than `max_bytes`, is Malformed, and cutting goes on at
    the next line that starts an object. Holds at most `max_bytes` and one chunk in memory.
    """
    cutter = _Cutter(max_bytes)
    for chunk in chunks:
        yield from cutter.feed(chunk, final=False)
    yield from cutter.feed(b"", final=True)


class _Cutter:
    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._buffer = b""
        self._line = 1
        self._seen = 0  # the value at the buffer's start is known to be open up to here
        self._open = bytearray()  # the closing brackets it waits for
        self._crossed = False  # a bracket closes what is not open
        self._lost = False  # between a malformed value and the next line to start from
        self._started = False
        self._array = False

    def feed(self, chunk: bytes, final: bool) -> Iterator[tuple[int, bytes | Malformed]]:
        self._buffer += chunk
        if not self._started:
            self._start()
        at = self._resync(0) if self._lost else 0
        while not self._lost:
            if self._seen == 0:
                at = self._skip_gap(at)
            if at >= len(self._buffer):
                break
            end = self._end_of_value(at, final)
            if end is not None:
                yield self._line, self._buffer[at:end]
                self._line += self._buffer.count(b"\n", at, end)
                at, self._seen, self._open = end, 0, bytearray()
            elif self._crossed or final or len(self._buffer) - at > self._max:
                yield self._line, Malformed("a JSON value that never ends, or too long")
                at = self._resync(at)
            else:
                break
        # `_seen` counts from the value's start, which now becomes the buffer's.
        self._buffer = self._buffer[at:]

    def _start(self) -> None:
        head = self._buffer.removeprefix(b"\xef\xbb\xbf").lstrip()
        if head:
            self._started, self._array = True, head.startswith(b"[")
            if self._array:
                at = self._buffer.index(b"[") + 1
                self._line += self._buffer.count(b"\n", 0, at)
                self._buffer = self._buffer[at:]
            else:
                self._buffer = self._buffer.removeprefix(b"\xef\xbb\xbf")
        else:
            self._line += self._buffer.count(b"\n")
            self._buffer = b""

    def _skip_gap(self, at: int) -> int:
        while True:
            match = _GAP.match(self._buffer, at)
            end = at if match is None else match.end()
            self._line += self._buffer.count(b"\n", at, end)
            if not (self._array and self._buffer[end : end + 1] == b"]"):
                return end
            at, self._array = end + 1, False

    def _end_of_value(self, at: int, final: bool) -> int | None:
        if self._seen == 0 and self._buffer[at : at + 1] not in (b"{", b"["):
            return self._end_of_bare(at, final)
        opened, pos = self._open, at + self._seen
        for token in _TOKEN.finditer(self._buffer, pos):
            first = token.group()
            if first in _CLOSING:
                opened += _CLOSING[first]
            elif first in (b"}", b"]"):
                if not opened.endswith(first):
                    self._crossed = True
                    return None
                del opened[-1]
                if not opened:
                    return token.end()
            elif first == b'"':
                pos = token.start()
                break
            pos = token.end()
        else:
            pos = len(self._buffer)
        self._seen, self._open = pos - at, opened
        return None

    def _end_of_bare(self, at: int, final: bool) -> int | None:
        """Numbers, words, strings and stray brackets are no objects, but each is one item."""
        string = _TOKEN.match(self._buffer, at)
        if string is not None and string.group() != b'"':
            return string.end()
        match = _BARE.match(self._buffer, at)
        end = at if match is None else match.end()
        return end if final or end < len(self._buffer) else None

    def _resync(self, at: int) -> int:
        """Where the next line that starts an object begins; it may be in a chunk to come."""
        match = _NEXT_OBJECT.search(self._buffer, at)
        self._lost = match is None
        end = max(at, self._buffer.rfind(b"\n")) if match is None else match.start() + 1
        self._line += self._buffer.count(b"\n", at, end)
        self._seen, self._open, self._crossed = 0, bytearray(), False
        return end
