"""The database: what the migrations build is what the code expects, and workspaces are fenced."""

from uuid import UUID, uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Insert, insert, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from services.assessment.tables import ReadinessPolicyRow, Table
from services.kit.migrate import upgrade
from services.kit.postgres import create_sessionmaker, workspace_tx
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

NOW = text("now()")


async def test_an_empty_database_upgrades_to_exactly_the_tables_of_the_code(
    database: NewDatabase,
) -> None:
    empty = database("assessment", migrated=False)
    await upgrade("services.assessment", empty.owner_dsn)

    def drift(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "include_name": lambda name, kind, _: (kind, name) != ("table", "alembic_version"),
            },
        )
        return list(compare_metadata(context, Table.metadata))

    engine = create_async_engine(empty.owner_dsn)
    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    await engine.dispose()


async def test_every_table_with_rows_of_a_workspace_is_fenced(
    assessment_database: Database,
) -> None:
    engine = create_async_engine(assessment_database.owner_dsn)
    async with engine.connect() as connection:
        fenced = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relrowsecurity ORDER BY relname")
        )
        assert list(fenced) == sorted(Table.metadata.tables)
    await engine.dispose()


async def test_a_workspace_neither_sees_nor_writes_the_rows_of_another(
    assessment_database: Database,
) -> None:
    engine = create_async_engine(assessment_database.app_dsn)
    maker = create_sessionmaker(engine)
    mine, other = uuid4(), uuid4()

    def policy(workspace_id: UUID) -> Insert:
        return insert(ReadinessPolicyRow).values(
            workspace_id=workspace_id, mode="off", updated_by="test", updated_at=NOW
        )

    async with workspace_tx(maker, mine) as session:
        await session.execute(policy(mine))
    async with workspace_tx(maker, other) as session:
        assert (await session.scalars(select(ReadinessPolicyRow.mode))).all() == []
    async with maker() as session:
        assert (await session.scalars(select(ReadinessPolicyRow.mode))).all() == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with workspace_tx(maker, other) as session:
            await session.execute(policy(mine))
    await engine.dispose()
