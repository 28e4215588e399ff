"""The schemas: PostgreSQL's equals the declared tables, ClickHouse's is applied once."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse import migrate
from services.tracking.clickhouse.migrate import ChangedMigration
from services.tracking.tables import Table
from tests.support.postgres import NewDatabase

pytestmark = pytest.mark.anyio

# Registries that workers walk over all workspaces, and hashes: no content of anybody.
UNFENCED = {"log_partition", "log_reader", "alembic_version"}


async def test_an_upgraded_database_has_no_drift(database: NewDatabase) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Table.metadata))

    engine = create_async_engine(database("tracking").owner_dsn)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_every_table_with_content_is_fenced(database: NewDatabase) -> None:
    engine = create_async_engine(database("tracking").owner_dsn)
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
                "WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relrowsecurity"
            )
        )
        assert {name for (name,) in rows} == UNFENCED
    await engine.dispose()


async def test_clickhouse_migrations_run_once_and_can_be_resumed(
    events_table: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate.upgrade(events_table)
    recorded = await events_table.query("SELECT number, name FROM schema_migration ORDER BY 1")
    assert recorded == [(m.number, m.name) for m in migrate.migrations()]
    # Killed after the statements, before the record: everything is run again.
    await events_table.command("TRUNCATE TABLE schema_migration")
    await migrate.upgrade(events_table)
    edited = [migrate.Migration(m.number, m.name, m.sql + " ") for m in migrate.migrations()]
    monkeypatch.setattr(migrate, "migrations", lambda: edited)
    with pytest.raises(ChangedMigration):
        await migrate.upgrade(events_table)
