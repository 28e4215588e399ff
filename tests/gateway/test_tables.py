"""The gateway's database: its migrations, and its fence."""

from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Text, cast, func, literal_column, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.bootstrap import bootstrap
from gateway.tables import ApiKeyRow, AuditRow, SourceRow, Table, WorkspaceRow
from services.kit.postgres import create_sessionmaker, workspace_tx
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio


async def test_migrations_make_the_tables_of_the_code(gateway_database: Database) -> None:
    def drift(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, Table.metadata))

    engine = create_async_engine(gateway_database.owner_dsn)
    async with engine.connect() as connection:
        found = await connection.run_sync(drift)
    await engine.dispose()
    assert found == []


async def test_only_rows_of_the_workspace_are_seen(gateway_database: Database) -> None:
    mine = await bootstrap(gateway_database.app_dsn, "Mine")
    await bootstrap(gateway_database.app_dsn, "Theirs")
    engine = create_async_engine(gateway_database.app_dsn)
    maker = create_sessionmaker(engine)
    columns = (
        WorkspaceRow.id,
        SourceRow.workspace_id,
        ApiKeyRow.workspace_id,
        AuditRow.workspace_id,
    )
    for column in columns:
        async with maker() as session:
            assert (await session.execute(select(column))).all() == []
        async with workspace_tx(maker, UUID(mine["workspace_id"])) as session:
            seen = set((await session.execute(select(column))).scalars())
        assert seen == {UUID(mine["workspace_id"])}
    await engine.dispose()


async def test_the_plain_role_cannot_rewrite_the_audit_log(gateway_database: Database) -> None:
    made = await bootstrap(gateway_database.app_dsn, "Audited")
    engine = create_async_engine(gateway_database.app_dsn)
    maker = create_sessionmaker(engine)
    for statement in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(DBAPIError, match="only ever added"):
            async with workspace_tx(maker, UUID(made["workspace_id"])) as session:
                await session.execute(text(statement))
    await engine.dispose()


async def test_keys_are_stored_as_hashes_only(gateway_database: Database) -> None:
    made = await bootstrap(gateway_database.app_dsn, "Hashed")
    engine = create_async_engine(gateway_database.owner_dsn)
    async with engine.connect() as connection:
        for table in Table.metadata.sorted_tables:
            whole_row = func.row_to_json(literal_column(table.name))
            rows = await connection.execute(select(cast(whole_row, Text)).select_from(table))
            everything = "\n".join(rows.scalars())
            assert everything
            for key in (made["write_key"], made["secret_key"]):
                assert key not in everything
                assert key.rpartition("_")[2] not in everything
    await engine.dispose()


async def test_the_lookup_by_id_tells_nothing_of_unknown_or_revoked_keys(
    gateway_database: Database,
) -> None:
    made = await bootstrap(gateway_database.app_dsn, "Looked up")
    key_id = UUID(made["secret_key"].split("_")[1])
    engine = create_async_engine(gateway_database.app_dsn)
    maker = create_sessionmaker(engine)
    statement = text("SELECT count(*) FROM find_api_key(:key_id)")

    async def found(wanted: UUID) -> int:
        async with maker() as session:
            count: int = (await session.execute(statement, {"key_id": wanted})).scalar_one()
        return count

    assert (await found(key_id), await found(uuid4())) == (1, 0)
    async with workspace_tx(maker, UUID(made["workspace_id"])) as session:
        await session.execute(text("UPDATE api_key SET revoked_at = now()"))
    assert await found(key_id) == 0
    await engine.dispose()
