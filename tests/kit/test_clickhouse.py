"""Handles on ClickHouse: read-only reads, a server that is silent, one owner, no forks."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.kit.clickhouse import ClickHouse, ClickHouseError, DatabaseError
from services.kit.clickhouse_handles import KEEP_FREE_BYTES
from services.kit.problems import Unavailable
from tests.support.clickhouse import ClickHouseServer
from tests.support.instance import REPOSITORY

pytestmark = pytest.mark.anyio

READONLY = 164
WRITES = ("INSERT INTO t VALUES (1)", "CREATE TABLE u (a Int8) ENGINE = Memory", "DROP TABLE t")
FILES = ("SELECT * FROM file('/etc/passwd', 'LineAsString')",)


@pytest.fixture
async def database(
    clickhouse_server: ClickHouseServer, clickhouse_database: str
) -> AsyncIterator[str]:
    """A database of the server with one empty table."""
    root = await ClickHouse.open(clickhouse_server.dsn("default"), readers=0)
    await root.command(f"CREATE DATABASE {clickhouse_database}")
    await root.command(f"CREATE TABLE {clickhouse_database}.t (a Int8) ENGINE = Memory")
    yield clickhouse_database
    clickhouse_server.heal()
    await root.close()


@pytest.mark.parametrize("user", ["writer:write", "reader:read", "viewer:view"])
async def test_what_reads_on_a_server_can_neither_write_nor_reach_files(
    clickhouse_server: ClickHouseServer, database: str, user: str
) -> None:
    store = await ClickHouse.open(
        clickhouse_server.dsn(database), read_dsn=clickhouse_server.dsn(database, user)
    )
    assert await store.query("SELECT count() FROM t WHERE a = {a:Int8}", {"a": 1}) == [(0,)]
    assert (await store.arrow("SELECT 1 AS one")).to_pydict() == {"one": [1]}
    for statement in WRITES:
        with pytest.raises(DatabaseError) as refused:
            await store.query(statement)
        assert refused.value.code == READONLY
    # A profile of readonly = 2 leaves that to the grants, which the test's server has not.
    for statement in () if user.startswith("viewer") else FILES:
        with pytest.raises(DatabaseError):
            await store.query(statement)
    await store.ping()
    await store.close()


async def test_a_read_is_bounded_also_by_a_user_who_may_change_settings(
    clickhouse_server: ClickHouseServer, database: str
) -> None:
    store = await ClickHouse.open(clickhouse_server.dsn(database))
    rows = await store.query("SELECT getSetting('max_execution_time'), getSetting('readonly')")
    assert [int(value) for value in rows[0]] == [60, 1]
    await store.close()


async def test_a_store_that_does_not_answer_is_unavailable(
    clickhouse_server: ClickHouseServer, database: str
) -> None:
    store = await ClickHouse.open(clickhouse_server.dsn(database))
    faults: list[dict[str, Any]] = [{"kind": "refuse", "code": n} for n in (202, 241, 243)]
    for fault in ({"kind": "cut_before"}, *faults):
        clickhouse_server.fail(**fault, on="any", times=-1)
        for reading in (store.query("SELECT 1"), store.arrow("SELECT 1"), store.ping()):
            with pytest.raises(Unavailable):
                await reading
        with pytest.raises(ClickHouseError):
            await store.command("SELECT 1")
        clickhouse_server.heal()
        assert await store.query("SELECT 1") == [(1,)]
    await store.close()


async def test_a_call_that_was_given_up_holds_up_no_sign_of_life_and_no_later_call(
    clickhouse_server: ClickHouseServer, database: str
) -> None:
    store = await ClickHouse.open(clickhouse_server.dsn(database), readers=1)
    clickhouse_server.fail("hold", on="any")
    given_up = asyncio.create_task(store.query("SELECT 1"))
    while not (await asyncio.to_thread(clickhouse_server.state))["held"]:
        assert not given_up.done()
    given_up.cancel()
    # Well before the held call is given up by the client.
    async with asyncio.timeout(30):
        await store.ping()
    later = asyncio.create_task(store.query("SELECT 2"))
    clickhouse_server.heal()
    assert await later == [(2,)]
    await store.close()


async def test_a_server_without_an_answer_in_time_is_given_up_and_asked_again(
    clickhouse_server: ClickHouseServer, database: str
) -> None:
    dsn = clickhouse_server.dsn(database, send_receive_timeout=1)
    store = await ClickHouse.open(dsn, readers=1)
    clickhouse_server.fail("hold", on="any")
    with pytest.raises(Unavailable):
        await store.query("SELECT 1")
    # The server still works on the first.
    assert await store.query("SELECT 2") == [(2,)]
    clickhouse_server.heal()
    await store.close()


PROGRAM = """
import asyncio, os, sys
from services.kit.clickhouse import ClickHouse, DirectoryInUse, Forked

dsn, what = sys.argv[1:]

async def say(work):
    try:
        await work
    except (DirectoryInUse, Forked) as error:
        print(type(error).__name__, error, flush=True)

def in_child(work):
    child = os.fork()
    if not child:
        asyncio.run(work())
        os._exit(0)
    os.waitpid(child, 0)

async def main():
    store = await ClickHouse.open(dsn)
    if what == "room":
        print(await store.query("SELECT keep_free_space FROM system.disks"))
    if what == "own":
        print("open", flush=True)
        sys.stdin.read()
    return store

if what == "second":
    asyncio.run(say(ClickHouse.open(dsn)))
elif what == "opened":
    store = asyncio.run(main())
    in_child(lambda: say(store.query("SELECT 1")))
    in_child(lambda: say(ClickHouse.open(dsn)))
elif what == "loaded":
    import chdb
    in_child(lambda: say(ClickHouse.open(dsn)))
else:
    asyncio.run(main())
"""


def run(dsn: str, what: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, dsn, what],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},  # noqa: TID251 - handed on, not read
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def said(process: "subprocess.Popen[str]") -> str:
    """What it prints until its end; nothing of it is left, should it hang."""
    try:
        return process.communicate("", timeout=60)[0]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_second_owner_of_a_directory_is_told_who_holds_it(tmp_path: Path) -> None:
    dsn = f"chdb://{tmp_path / 'chdb'}"
    owner = run(dsn, "own")
    assert owner.stdout is not None
    assert owner.stdout.readline() == "open\n"
    refusal = said(run(dsn, "second"))
    assert refusal.startswith("DirectoryInUse Another process has the ClickHouse directory")
    assert str(tmp_path / "chdb") in refusal
    said(owner)
    assert said(run(dsn, "second")) == ""


def test_an_embedded_engine_stops_before_the_end_of_its_disk(tmp_path: Path) -> None:
    kept = said(run(f"chdb://{tmp_path / 'chdb'}", "room"))
    assert kept == f"[({KEEP_FREE_BYTES},)]\n"


@pytest.mark.parametrize(("what", "refusals"), [("opened", 2), ("loaded", 1)])
def test_a_forked_child_is_refused_and_does_not_hang(
    tmp_path: Path, what: str, refusals: int
) -> None:
    lines = said(run(f"chdb://{tmp_path / 'chdb'}", what)).splitlines()
    assert [line.split()[0] for line in lines] == ["Forked"] * refusals
    assert all("by spawn" in line for line in lines)
