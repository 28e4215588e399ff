"""The database: what the migrations build is what the code expects, and workspaces are fenced."""

from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine

from services import profile
from services.kit.migrate import upgrade
from services.kit.postgres import create_sessionmaker, workspace_tx
from services.profile.identity.tables import AliasRow
from services.profile.tables import Table
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

for _file in Path(profile.__path__[0]).glob("*/tables.py"):
    import_module(f"services.profile.{_file.parent.name}.tables")

NOT_FENCED = {"consumer"}
"""Partitions and offsets only; workers walk it across workspaces."""


async def test_an_empty_database_upgrades_to_exactly_the_tables_of_the_code(
    database: NewDatabase,
) -> None:
    empty = database("profile", migrated=False)
    await upgrade("services.profile", empty.owner_dsn)

    def drift(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_name": lambda name, kind, _: (kind, name) != ("table", "alembic_version"),
            },
        )
        return list(compare_metadata(context, Table.metadata))

    engine = create_async_engine(empty.owner_dsn)
    async with engine.connect() as connection:
        assert await connection.run_sync(drift) == []
    await engine.dispose()


async def test_every_table_with_rows_of_a_workspace_is_fenced(profile_database: Database) -> None:
    engine = create_async_engine(profile_database.owner_dsn)
    async with engine.connect() as connection:
        fenced = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relrowsecurity ORDER BY relname")
        )
        assert list(fenced) == sorted(Table.metadata.tables.keys() - NOT_FENCED)
    await engine.dispose()


async def test_a_workspace_neither_sees_nor_writes_the_rows_of_another(
    profile_database: Database,
) -> None:
    engine = create_async_engine(profile_database.app_dsn)
    maker = create_sessionmaker(engine)
    mine, other = uuid4(), uuid4()
    row = insert(AliasRow).values(workspace_id=mine, alias_id=uuid4(), profile_id=uuid4())
    async with workspace_tx(maker, mine) as session:
        await session.execute(row)
    async with workspace_tx(maker, other) as session:
        assert (await session.scalars(select(AliasRow.alias_id))).all() == []
    async with maker() as session:
        assert (await session.scalars(select(AliasRow.alias_id))).all() == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with workspace_tx(maker, other) as session:
            await session.execute(row)
    await engine.dispose()


async def test_values_from_before_their_sources_were_kept_keep_their_times(
    database: NewDatabase,
) -> None:
    old = database("profile", migrated=False)
    await upgrade("services.profile", old.owner_dsn, "0002")
    engine = create_async_engine(old.owner_dsn)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO profile (workspace_id, profile_id, traits, trait_times, identifier_count,"
            " created_seq, first_seen_at, last_seen_at) SELECT gen_random_uuid(),"
            ' gen_random_uuid(), \'{"plan": "pro"}\', times::jsonb, 1, 1, now(), now()'
            " FROM unnest(ARRAY['{\"plan\": 7, \"gone\": 8}', '{}']) times"
        )
        await connection.exec_driver_sql(
            "INSERT INTO merge (workspace_id, merge_id, profile_id, merged_id, message_id,"
            " merged_at, snapshot) SELECT workspace_id, gen_random_uuid(), profile_id, profile_id,"
            " 'm', now(), jsonb_build_object('traits', traits, 'trait_times', trait_times)"
            " FROM profile"
        )
    await upgrade("services.profile", old.owner_dsn)
    meta = {"plan": [7, 0, "", 0], "gone": [8, 0, "", 0]}
    async with engine.connect() as connection:
        rows = await connection.scalars(text("SELECT trait_meta FROM profile ORDER BY 1 DESC"))
        assert list(rows) == [meta, {}]
        rows = await connection.scalars(text("SELECT snapshot FROM merge ORDER BY 1 DESC"))
        assert list(rows) == [{"traits": {"plan": "pro"}, "trait_meta": m} for m in (meta, {})]
    await engine.dispose()
