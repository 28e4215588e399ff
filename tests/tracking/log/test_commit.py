"""The group commit of the log in PostgreSQL; what every log promises is in ``test_port``."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kit.feeds import pack, unpack
from services.kit.problems import Unavailable
from services.kit.workers import Workers
from services.tracking.log import commit
from services.tracking.log.commit import GroupCommit, asyncpg_dsn
from services.tracking.log.port import Append, Quarantined, events_partition
from tests.support.postgres import Database, DatabaseServer, NewDatabase

pytestmark = pytest.mark.anyio

_KILL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = '{}' AND application_name = 'waymark-ingest'
"""


@asynccontextmanager
async def appending(database: Database) -> AsyncIterator[GroupCommit]:
    appender = GroupCommit(database.app_dsn)
    workers = Workers()
    workers.start("log", appender.run)
    yield appender
    await workers.stop()


def entry(workspace_id: UUID, *names: str) -> Append:
    return Append(workspace_id, events_partition(workspace_id), len(names), pack(names))


async def rows(connection: asyncpg.Connection, workspace_id: UUID) -> list[tuple[int, str]]:
    async with connection.transaction():
        await connection.execute(
            "SELECT set_config('app.workspace_id', $1, true)", str(workspace_id)
        )
        found = await connection.fetch(
            'SELECT "offset", data FROM log WHERE partition = $1 ORDER BY 1',
            str(workspace_id),
        )  # fmt: skip
    return [(offset, unpack(data, str)[0]) for offset, data in found]


async def test_what_waits_together_is_committed_together(
    database: NewDatabase, postgres: DatabaseServer
) -> None:
    made, workspace = database("tracking"), uuid4()
    async with appending(made) as appender:
        await asyncio.gather(*(appender.append(entry(workspace, str(i))) for i in range(100)))
    sql = "SELECT count(DISTINCT xmin::text), count(*) FROM log"
    transactions, stored = postgres.cluster.psql(sql, made.name).strip().split("|")
    assert int(stored) == 100
    assert int(transactions) <= 3


async def test_nothing_acknowledged_is_lost_when_connections_are_killed(
    database: NewDatabase, postgres: DatabaseServer
) -> None:
    made, workspace = database("tracking"), uuid4()
    acknowledged: list[str] = []
    kill = _KILL.format(made.name)

    async def client(number: int) -> None:
        for step in range(40):
            name = f"{number}:{step}"
            try:
                await appender.append(entry(workspace, name))
            except Unavailable:
                continue
            acknowledged.append(name)

    async with appending(made) as appender:
        clients = [asyncio.create_task(client(number)) for number in range(8)]
        for _ in range(5):
            await asyncio.to_thread(postgres.cluster.psql, kill)
        await asyncio.gather(*clients)
        await appender.append(entry(workspace, "last"))
    connection = await asyncpg.connect(asyncpg_dsn(made.app_dsn))
    stored = await rows(connection, workspace)
    await connection.close()
    assert [offset for offset, _ in stored] == list(range(1, len(stored) + 1))
    assert set(acknowledged) < {name for _, name in stored}


async def test_a_request_the_server_refuses_fails_alone(database: NewDatabase) -> None:
    made, workspace = database("tracking"), uuid4()
    poison = Quarantined(workspace, "web", "invalid", "#", "U+0000: \x00", b"")
    async with appending(made) as appender:
        results = await asyncio.gather(
            appender.append(entry(workspace, "a")),
            appender.append(Append(workspace, str(workspace), 0, b"", [poison])),
            appender.append(entry(workspace, "b")),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [type(None), Unavailable, type(None)]


async def test_a_full_waiting_room_turns_requests_away(
    database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "MAX_WAITING_BYTES", 10)
    workspace = uuid4()
    appender = GroupCommit(database("tracking").app_dsn)
    first = asyncio.create_task(appender.append(entry(workspace, "x" * 1000)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as refused:
        await appender.append(entry(workspace, "y"))
    assert refused.value.headers == {"Retry-After": "2"}
    task = asyncio.create_task(appender.run())
    await first
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
