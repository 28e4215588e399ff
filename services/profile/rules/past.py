"""The past of leaves, as tracking counts it: kept in a file and read in portions.

There is a state for everybody who ever did what a leaf asks for: more than memory may hold.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from tempfile import SpooledTemporaryFile
from typing import IO
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from services.contracts.tracking import LeafQuery
from services.kit.http import ServiceClient
from services.profile.arrays import plain
from services.profile.rules.store import PendingLeaf
from services.rules import LeafState

LEAVES_PER_QUERY = 50
ROWS_AT_ONCE = 5000
_IN_MEMORY_BYTES = 1 << 20
_READ_SECONDS = 300.0
"""ClickHouse counts all events before it says a word."""

Row = tuple[str, str, LeafState]
"""(leaf id, profile id, state)."""


class Past:
    """States in the order of the profiles' ids, one leaf after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def batches(self, leaf_ids: Collection[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All rows (of these leaves only), ``ROWS_AT_ONCE`` or fewer each; from the start again
        with every call."""
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            for batch in reader:
                if leaf_ids is not None:
                    wanted = pa.array(leaf_ids, pa.string())
                    batch = batch.filter(pc.is_in(batch.column("leaf_id"), wanted))
                for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                    yield batch.slice(start, ROWS_AT_ONCE)


def together(pending: Iterable[PendingLeaf]) -> Iterator[list[PendingLeaf]]:
    """Leaves that can be fetched in one query; ``pending`` ordered by start offset."""
    for _, same in groupby(pending, key=lambda leaf: leaf.start_offset):
        leaves = list(same)
        for start in range(0, len(leaves), LEAVES_PER_QUERY):
            yield leaves[start : start + LEAVES_PER_QUERY]


@asynccontextmanager
async def fetch(
    tracking: ServiceClient,
    workspace_id: UUID,
    leaves: Sequence[PendingLeaf],
    *,
    subjects: Mapping[str, Sequence[str]] | None = None,
    min_feed_offset: int | None = None,
    exact: bool = True,
) -> AsyncIterator[Past]:
    """States of leaves that share a start offset, from the events up to it.

    ``subjects``: of these profiles only, and of exactly these subjects each. ``exact`` false: from
    whatever events ClickHouse has loaded. Raises
    ``Unavailable`` while ClickHouse has not loaded the log that far, or tracking does not know
    yet who is who since the row ``min_feed_offset`` of the change feed.
    """
    query = LeafQuery.model_validate(
        {
            "leaves": {leaf.leaf_id: leaf.definition for leaf in leaves},
            "max_log_offset": leaves[0].start_offset if exact else None,
            "min_feed_offset": min_feed_offset,
            "subjects": subjects,
        }
    )
    pieces = tracking.pieces(
        "POST",
        "/internal/v1/rules/query",
        workspace_id=workspace_id,
        read_seconds=_READ_SECONDS,
        content=query.model_dump_json(by_alias=True, exclude_none=True),
        headers={"Content-Type": "application/json"},
    )
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        async for piece in pieces:
            file.write(piece)
        yield Past(file)


def columns(batch: pa.RecordBatch) -> dict[str, object]:
    """A batch as PostgreSQL's arrays; no row becomes an object of Python."""
    buckets = batch.column("buckets")
    pairs = buckets.flatten()
    indexes, counts = (pc.struct_field(pairs, [part]) for part in (0, 1))
    return {
        "ids": plain(batch.column("profile_id").to_pylist()),
        "leaf_ids": plain(batch.column("leaf_id").to_pylist()),
        "totals": plain(batch.column("total").to_pylist()),
        "first": plain(batch.column("first").to_pylist()),
        "last": plain(batch.column("last").to_pylist()),
        "recent": _lists(batch.column("recent")),
        "indexes": _lists(_like(buckets, indexes)),
        "counts": _lists(_like(buckets, counts)),
    }


def rows(batch: pa.RecordBatch) -> list[Row]:
    names = ("leaf_id", "profile_id", "total", "first", "last", "recent", "buckets")
    return [
        (leaf_id, profile_id, LeafState.from_wire((*parts, map(dict.values, buckets))))
        for leaf_id, profile_id, *parts, buckets in zip(
            *(batch.column(name).to_pylist() for name in names), strict=True
        )
    ]


def _like(lists: pa.ListArray, values: pa.Array) -> pa.ListArray:
    """The flat values in lists of the same lengths."""
    ends = pc.cumulative_sum(pc.list_value_length(lists).cast(pa.int32()))
    return pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), values)


def _lists(lists: pa.ListArray) -> str:
    """Lists of numbers as an array of the texts of arrays."""
    texts = pc.binary_join(lists.cast(pa.list_(pa.string())), ",").to_pylist()
    return '{"{' + '}","{'.join(texts) + '}"}' if texts else "{}"
