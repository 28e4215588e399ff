"""There is never more than one store on a database."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.postgres import create_sessionmaker
from services.tracking.lease import AnotherStore, StoreLease
from services.tracking.log import store
from services.tracking.log.store import PositionMoved
from tests.support.postgres import DatabaseServer, NewDatabase
from tests.tracking.service import eventually

pytestmark = pytest.mark.anyio

_CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = '{}' AND application_name = 'waymark-store-lease'
"""

_HOLDERS = """
SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory'
WHERE a.datname = '{}' AND l.granted
"""


async def test_a_second_store_is_refused_until_the_first_is_gone(database: NewDatabase) -> None:
    dsn = database("tracking").app_dsn
    first, second = StoreLease(dsn), StoreLease(dsn)
    await first.acquire()
    with pytest.raises(AnotherStore):
        await second.acquire(wait_seconds=0)
    await first.release()
    await second.acquire(wait_seconds=5)
    await second.release()


async def test_the_lease_is_taken_again_after_its_connection_was_cut(
    database: NewDatabase, postgres: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tracking.lease._CHECK_SECONDS", 0.01)
    made = database("tracking")

    def holders() -> str:
        return postgres.cluster.psql(_HOLDERS.format(made.name)).strip()

    lease = StoreLease(made.app_dsn)
    await lease.acquire()
    first = holders()
    running = asyncio.create_task(lease.run())
    postgres.cluster.psql(_CUT.format(made.name))

    async def taken_again() -> bool:
        return holders() not in ("", first)

    await eventually(taken_again)
    with pytest.raises(AnotherStore):
        await StoreLease(made.app_dsn).acquire(wait_seconds=0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await lease.release()


async def test_a_reader_s_position_moves_only_from_where_it_is(database: NewDatabase) -> None:
    engine = create_async_engine(database("tracking").app_dsn)
    maker = create_sessionmaker(engine)
    async with maker.begin() as session:
        await store.advance(session, "loader", "p", 0, 5)
        await store.advance(session, "loader", "p", 5, 7)
    for old in (0, 5, 9):
        with pytest.raises(PositionMoved):
            async with maker.begin() as session:
                await store.advance(session, "loader", "p", old, 10)
    async with maker.begin() as session:
        assert await store.position(session, "loader", "p") == 7
    await engine.dispose()
