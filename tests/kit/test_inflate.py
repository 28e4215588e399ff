"""Packed bodies: what is unpacked, what is refused, and that bombs stop at the cap."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard

from services.kit.inflate import MAX_MEMBERS, inflate
from services.kit.problems import BodyTooLarge, MalformedBody

TEXT = b'{"batch": []}' * 20_000
LIMIT = len(TEXT)
PACKED = {
    "gzip": gzip.compress(TEXT),
    "two members": gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]),
    "zlib": zlib.compress(TEXT),
    "zstd": zstandard.compress(TEXT),
    "zstd of unknown size": zstandard.ZstdCompressor(write_content_size=False).compress(TEXT),
    "plain": TEXT,
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_body_is_unpacked_up_to_the_limit(kind: str) -> None:
    assert inflate(PACKED[kind], LIMIT) == TEXT
    if kind != "plain":
        with pytest.raises(BodyTooLarge):
            inflate(PACKED[kind], LIMIT - 1)


@pytest.mark.parametrize(
    "body",
    [
        PACKED["gzip"][:-1],
        PACKED["gzip"][:12],
        PACKED["gzip"][:-8] + b"\x00" * 8,
        PACKED["zlib"][:-5],
        PACKED["zstd"][:4] + b"\xff" * 20,
        PACKED["two members"][:-3],
        b"\x1f\x8b",
    ],
    # Not by their bytes, in which the time of packing stands: test workers have to agree on names.
    ids=["short", "head", "sums", "zlib", "zstd", "second", "nothing"],
)
def test_what_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        inflate(body, LIMIT)


def test_members_are_bounded() -> None:
    member = gzip.compress(b"")
    assert inflate(member * MAX_MEMBERS, LIMIT) == b""
    with pytest.raises(MalformedBody):
        inflate(member * (MAX_MEMBERS + 1), LIMIT)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, zstandard.compress])
def test_a_bomb_is_unpacked_no_further_than_the_limit(pack: Callable[[bytes], bytes]) -> None:
    bomb, limit = pack(b" " * 50_000_000), 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            inflate(bomb, limit)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert limit < peak < 3 * limit
