"""The schemas: PostgreSQL's equals the declared tables, ClickHouse's is applied once."""

from collections.abc import Mapping
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.clickhouse import ClickHouse
from services.tracking.clickhouse import migrate
from services.tracking.clickhouse.cluster import Cluster
from services.tracking.clickhouse.migrate import ChangedMigration
from services.tracking.tables import Table
from tests.support.clickhouse import on_every_clickhouse
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


@on_every_clickhouse
async def test_clickhouse_migrations_run_once_and_can_be_resumed(
    events_table: ClickHouse,
    clickhouse_cluster: Cluster | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await migrate.upgrade(events_table, clickhouse_cluster)
    recorded = await events_table.query("SELECT number, name FROM schema_migration ORDER BY 1")
    assert recorded == [(m.number, m.name) for m in migrate.migrations()]
    # Killed after the statements, before the record: everything is run again.
    await events_table.command("TRUNCATE TABLE schema_migration")
    await migrate.upgrade(events_table, clickhouse_cluster)
    edited = [migrate.Migration(m.number, m.name, m.sql + " ") for m in migrate.migrations()]
    monkeypatch.setattr(migrate, "migrations", lambda: edited)
    with pytest.raises(ChangedMigration):
        await migrate.upgrade(events_table, clickhouse_cluster)


class Killed(Exception):
    pass


class Interrupted(ClickHouse):
    """Dies at one of the statements, before it is run."""

    left: int | None = None

    async def command(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if self.left == 0:
            raise Killed
        if self.left is not None:
            self.left -= 1
        await super().command(sql, params, settings)


async def schema(clickhouse: ClickHouse) -> dict[str, str]:
    """Names of tables and what made them."""
    rows = await clickhouse.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()"
    )
    return dict(rows)


@on_every_clickhouse
async def test_clickhouse_migrations_killed_at_any_statement_end_in_the_same_schema(
    clickhouse_dsn: str, clickhouse_cluster: Cluster | None
) -> None:
    clickhouse = await Interrupted.open(clickhouse_dsn)
    assert isinstance(clickhouse, Interrupted)
    await migrate.upgrade(clickhouse, clickhouse_cluster)
    whole = await schema(clickhouse)
    recorded = "SELECT number, checksum FROM schema_migration FINAL ORDER BY number"
    records = await clickhouse.query(recorded)
    statements = 1 + sum(len(m.statements(clickhouse_cluster)) + 1 for m in migrate.migrations())
    for killed_at in range(statements):
        for name in whole:
            await clickhouse.command(f"DROP TABLE IF EXISTS {name} SYNC")
        clickhouse.left = killed_at
        with pytest.raises(Killed):
            await migrate.upgrade(clickhouse, clickhouse_cluster)
        clickhouse.left = None
        await migrate.upgrade(clickhouse, clickhouse_cluster)
        assert await schema(clickhouse) == whole
        assert await clickhouse.query(recorded) == records
    await clickhouse.close()


@on_every_clickhouse
async def test_each_clickhouse_migration_can_be_run_twice_more(
    events_table: ClickHouse, clickhouse_cluster: Cluster | None
) -> None:
    before = await schema(events_table)
    for each in migrate.migrations():
        for statement in each.statements(clickhouse_cluster) * 2:
            await events_table.command(statement)
    assert await schema(events_table) == before
