"""Which entries of a block are duplicates. Pure."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from services.kit.feeds import FeedRow, unpack
from services.tracking.sequencer.ids import key


class Identified(msgspec.Struct):
    """The part of an entry that the verdict needs; outcomes have no source."""

    message_id: str
    source_id: str = ""


def block_keys(workspace_id: UUID, rows: Sequence[FeedRow]) -> list[list[bytes]]:
    """The key of every entry, row by row."""
    return [
        [key(workspace_id, e.source_id, e.message_id) for e in unpack(row.data, Identified)]
        for row in rows
    ]


def bitmaps(
    rows: Sequence[FeedRow], keys: Sequence[Sequence[bytes]], new: set[bytes]
) -> dict[int, bytes]:
    """Offset → bitmap of the rows that hold duplicates: the first of equal keys stays, and only if
    it is in ``new``. Bit i set (LSB first) = entry i is a duplicate."""
    left = set(new)
    found: dict[int, bytes] = {}
    for row, row_keys in zip(rows, keys, strict=True):
        drop = bytearray((len(row_keys) + 7) // 8)
        for index, each in enumerate(row_keys):
            if each in left:
                left.remove(each)
            else:
                drop[index >> 3] |= 1 << (index & 7)
        if any(drop):
            found[row.offset] = bytes(drop)
    return found


def united(one: Mapping[int, bytes], other: Mapping[int, bytes]) -> dict[int, bytes]:
    """What either of two verdicts leaves out."""
    both = {
        offset: bytes(a | b for a, b in zip(one[offset], other[offset], strict=True))
        for offset in one.keys() & other.keys()
    }
    return {**one, **other, **both}
