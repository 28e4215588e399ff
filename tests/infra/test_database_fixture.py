"""The databases tests get are those a service gets: migrated, fenced, its own."""

import asyncpg
import pytest

from tests.support.postgres import NewDatabase


async def _connect(dsn: str) -> asyncpg.Connection:
    return await asyncpg.connect(dsn.replace("+asyncpg", ""))


async def test_the_app_role_reads_and_writes_what_the_owner_made_but_cannot_alter_it(
    database: NewDatabase,
) -> None:
    fresh = database("profile", migrated=False)
    owner = await _connect(fresh.owner_dsn)
    await owner.execute("CREATE TABLE thing (n int GENERATED ALWAYS AS IDENTITY, name text)")
    await owner.close()
    app = await _connect(fresh.app_dsn)
    await app.execute("INSERT INTO thing (name) VALUES ('a')")
    assert await app.fetchval("SELECT n FROM thing") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("ALTER TABLE thing ADD COLUMN x int")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("CREATE TABLE other (n int)")
    await app.close()


async def test_row_level_security_holds_for_the_app_role(database: NewDatabase) -> None:
    fresh = database("profile", migrated=False)
    owner = await _connect(fresh.owner_dsn)
    await owner.execute(
        "CREATE TABLE thing (n int); INSERT INTO thing VALUES (1);"
        "ALTER TABLE thing ENABLE ROW LEVEL SECURITY"
    )
    await owner.close()
    app = await _connect(fresh.app_dsn)
    assert await app.fetch("SELECT n FROM thing") == []
    await app.close()


async def test_two_databases_of_one_service_share_nothing(database: NewDatabase) -> None:
    first, second = database("profile", migrated=False), database("profile", migrated=False)
    owner = await _connect(first.owner_dsn)
    await owner.execute("CREATE TABLE thing (n int)")
    await owner.close()
    other = await _connect(second.owner_dsn)
    assert await other.fetchval("SELECT to_regclass('thing')") is None
    await other.close()


async def test_a_service_cannot_open_another_services_database(database: NewDatabase) -> None:
    mine = database("profile", migrated=False)
    database("tracking", migrated=False)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _connect(mine.app_dsn.replace(f"/{mine.name}", "/tracking"))
