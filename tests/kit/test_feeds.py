"""Feeds: the codec, the duplicate bitmap and the order of appends."""

import asyncio
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.contracts.changes import Change
from services.kit import feeds
from services.kit.feeds import FeedPage, FeedRow
from services.kit.postgres import create_sessionmaker
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio


def test_a_page_survives_the_wire() -> None:
    changes = [Change("segment.entered", "p1", 5, {"segment_id": "s"}), Change("event", "p2", 6)]
    page = FeedPage([FeedRow(7, 2, 99, feeds.pack(changes))], 7)
    read = feeds.decode_page(feeds.encode_page(page))
    assert read.end == 7
    assert read.rows[0].entries(Change) == changes


@pytest.mark.parametrize(
    ("number", "carried"),
    [
        (2**64 - 1, 2**64 - 1),
        (10**30, 1e30),
        (-(2**63) - 1, -(2.0**63)),
        (10**400, sys.float_info.max),
    ],
)
def test_a_number_beyond_64_bits_is_carried_as_a_double(number: int, carried: float) -> None:
    change = Change("profile.updated", "p1", 5, {"traits": {"n": [number], "b": True}})
    (read,) = feeds.unpack(feeds.pack([change]), Change)
    assert read.data["traits"] == {"n": [pytest.approx(carried)], "b": True}


@pytest.mark.parametrize(
    ("drop", "kept"),
    [(None, 10), (bytes([0, 0]), 10), (bytes([0b11, 0]), 8), (bytes([0, 0b10]), 9)],
)
def test_dropped_entries_are_left_out(drop: bytes | None, kept: int) -> None:
    row = FeedRow(1, 10, 0, feeds.pack([str(i) for i in range(10)]), drop)
    entries = row.entries(str)
    assert len(entries) == kept
    if drop == bytes([0b11, 0]):
        assert entries[0] == "2"
    if drop == bytes([0, 0b10]):
        assert "9" not in entries


async def test_appends_of_a_partition_commit_in_the_order_of_their_offsets(
    database: NewDatabase,
) -> None:
    """A reader that polls while writers race must never see offset n + 1 before n."""
    dsn = database("tracking", migrated=False).owner_dsn
    engine = create_async_engine(dsn)
    maker = create_sessionmaker(engine)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE f (o bigint PRIMARY KEY)"))

    async def append(times: int) -> None:
        for _ in range(times):
            async with maker.begin() as session:
                await feeds.lock_partition(session, "f", "p")
                await session.execute(text("INSERT INTO f SELECT coalesce(max(o), 0) + 1 FROM f"))

    async def read() -> list[int]:
        gaps = []
        while True:
            async with maker() as session:
                seen = list((await session.execute(text("SELECT o FROM f ORDER BY o"))).scalars())
            gaps += [n for n, o in enumerate(seen, 1) if n != o]
            if len(seen) == 100:
                return gaps

    gaps, *_ = await asyncio.gather(read(), *(append(20) for _ in range(5)))
    await engine.dispose()
    assert gaps == []
