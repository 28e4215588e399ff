"""Immutable files of sorted 16-byte keys: written once, mapped, searched by whole blocks of keys.

A file is a header, the first halves of all keys in ascending order, and their second halves. Memory
holds 2 bytes per key (a filter that turns away 99.5 % of unknown keys); the pages that a search
touched are handed back to the system after it.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.uint64]
KEY_BYTES = 16
MERGE_KEYS = 1 << 20
"""Keys in memory at a time while files are merged, about."""

_HEADER = struct.Struct("<8sQII")
_MAGIC = b"WMSEEN01"
_HALF = np.dtype("<u8")
_CHUNK = 1 << 20
_KEYS_PER_WORD = 4
_32, _63 = np.uint64(32), np.uint64(63)


class TornSegment(Exception):
    """The file is not what was written: the store has to be rebuilt."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys in the order of their first halves; ``mask`` holds the four filter bits of each."""

    first: Halves
    second: Halves
    mask: Halves
    order: npt.NDArray[np.intp]
    """Where each stood in what the keys were made of."""


def sorted_keys(keys: Sequence[bytes]) -> Keys:
    table = np.frombuffer(b"".join(keys), _HALF).reshape(-1, 2)
    order = np.argsort(table[:, 0])
    second = table[order, 1]
    return Keys(table[order, 0], second, _mask(second), order)


class Segment:
    """One file, open for searching. ``contains`` may run in any thread."""

    def __init__(self, path: Path) -> None:
        """Reads the whole file once; ``TornSegment`` unless it is complete and unchanged."""
        self.path = path
        with path.open("rb") as file:
            self.count, sums = _header(file, path)
            self._filter = np.zeros(max(1, self.count // _KEYS_PER_WORD), np.uint64)
            if self._read(file) != sums:
                raise TornSegment(f"{path.name}: checksums differ")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._map.madvise(mmap.MADV_RANDOM)
        self.first: Halves = np.frombuffer(self._map, _HALF, self.count, _HEADER.size)
        self.second: Halves = np.frombuffer(
            self._map, _HALF, self.count, _HEADER.size + self.count * 8
        )

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """For each of ``keys`` whether the file holds it."""
        word = self._filter[self._word(keys.first)]
        maybe = np.flatnonzero((word & keys.mask) == keys.mask)
        found = np.zeros(len(keys.first), np.bool_)
        if not len(maybe):
            return found
        first, second = keys.first[maybe], keys.second[maybe]
        at = np.searchsorted(self.first, first)
        # More than one round only where different keys share their first half.
        while len(maybe):
            here = np.minimum(at, self.count - 1)
            same = (at < self.count) & (self.first[here] == first)
            hit = same & (self.second[here] == second)
            found[maybe[hit]] = True
            left = same & ~hit
            maybe, first, second, at = maybe[left], first[left], second[left], at[left] + 1
        self.release()
        return found

    def release(self) -> None:
        """Takes the mapped pages out of this process's memory; they stay in the page cache."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def _read(self, file: BinaryIO) -> tuple[int, int]:
        """Fills the filter; the checksums of both halves."""
        sums = [0, 0]
        for start in range(0, self.count, _CHUNK):
            size = min(_CHUNK, self.count - start)
            halves = []
            for number in range(2):
                file.seek(_HEADER.size + (number * self.count + start) * 8)
                raw = file.read(size * 8)
                sums[number] = zlib.crc32(raw, sums[number])
                halves.append(np.frombuffer(raw, _HALF))
            words = self._word(halves[0])
            starts = np.flatnonzero(np.diff(words, prepend=-1))
            self._filter[words[starts]] |= np.bitwise_or.reduceat(_mask(halves[1]), starts)
        return sums[0], sums[1]

    def _word(self, first: Halves) -> npt.NDArray[np.int64]:
        """Keys that follow each other have words that do: the filter is walked, not jumped in."""
        return (((first >> _32) * np.uint64(len(self._filter))) >> _32).astype(np.int64)


def write(path: Path, keys: Keys) -> None:
    """Returns when the file is on disk."""
    with path.open("wb") as file:
        writer = _Writer(file, len(keys.first))
        writer.add(keys.first, keys.second)
        writer.close()


def merge(path: Path, segments: Sequence[Segment]) -> None:
    """One file of what several hold, in parts, as keys are spread evenly."""
    total = sum(segment.count for segment in segments)
    parts = -(-total // MERGE_KEYS)
    edges = [np.uint64((part << 64) // parts) for part in range(1, parts)]
    cuts = [[0, *np.searchsorted(s.first, edges).tolist(), s.count] for s in segments]
    with path.open("wb") as file:
        writer = _Writer(file, total)
        for part in range(parts):
            slices = [slice(cut[part], cut[part + 1]) for cut in cuts]
            pairs = list(zip(segments, slices, strict=True))
            first = np.concatenate([segment.first[cut] for segment, cut in pairs])
            second = np.concatenate([segment.second[cut] for segment, cut in pairs])
            for segment in segments:
                segment.release()
            order = np.argsort(first)
            writer.add(first[order], second[order])
        writer.close()


class _Writer:
    def __init__(self, file: BinaryIO, count: int) -> None:
        self._file = file
        self._count = count
        self._done = 0
        self._sums = [0, 0]

    def add(self, first: Halves, second: Halves) -> None:
        for number, half in enumerate((first, second)):
            raw = half.astype(_HALF, copy=False).tobytes()
            self._file.seek(_HEADER.size + (number * self._count + self._done) * 8)
            self._file.write(raw)
            self._sums[number] = zlib.crc32(raw, self._sums[number])
        self._done += len(first)

    def close(self) -> None:
        self._file.seek(0)
        self._file.write(_HEADER.pack(_MAGIC, self._count, *self._sums))
        self._file.flush()
        os.fsync(self._file.fileno())


def _header(file: BinaryIO, path: Path) -> tuple[int, tuple[int, int]]:
    raw = file.read(_HEADER.size)
    size = os.fstat(file.fileno()).st_size
    if len(raw) == _HEADER.size:
        magic, count, *sums = _HEADER.unpack(raw)
        if magic == _MAGIC and count and size == _HEADER.size + count * KEY_BYTES:
            return count, (sums[0], sums[1])
    raise TornSegment(f"{path.name}: not a complete file of keys")


def _mask(second: Halves) -> Halves:
    one = np.uint64(1)
    mask = one << (second & _63)
    for shift in (6, 12, 18):
        mask |= one << ((second >> np.uint64(shift)) & _63)
    return mask
