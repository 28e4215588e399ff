"""Tables: migrations make what the code declares, and workspaces cannot see each other."""

from uuid import uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.orchestrator.channels import tables as channels
from services.orchestrator.devices import tables as devices
from services.orchestrator.engine import tables as engine
from services.orchestrator.journeys import tables as journeys
from services.orchestrator.maps import tables as maps
from services.orchestrator.message_templates import tables as templates
from services.orchestrator.messages import tables as messages
from services.orchestrator.replay import tables as replay
from services.orchestrator.tables import Table
from tests.orchestrator.conftest import World
from tests.support.app import user_headers
from tests.support.postgres import Database

pytestmark = pytest.mark.anyio

DECLARED = (channels, devices, engine, journeys, maps, templates, messages, replay)
UNFENCED = {"workspace", "alembic_version"}


async def test_migrations_and_tables_do_not_drift(orchestrator_database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    engine = create_async_engine(orchestrator_database.owner_dsn)
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert [each for each in found if "alembic_version" not in str(each)] == []


async def test_every_table_but_the_registry_is_fenced(orchestrator_database: Database) -> None:
    connection = await asyncpg.connect(orchestrator_database.app_dsn.replace("+asyncpg", ""))
    rows = await connection.fetch(
        "SELECT relname, relrowsecurity FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    await connection.close()
    assert {row["relname"] for row in rows if not row["relrowsecurity"]} == UNFENCED


async def test_another_workspace_sees_nothing(world: World) -> None:
    journey_id = await world.publish(await world.mail_graph())
    world.feed(world.event(world.person(), "Viewed", offer_id="o"))
    await world.settle()
    [message] = await world.messages()
    world.client.headers = user_headers("orchestrator", uuid4())
    for path in ("/journeys", "/messages", "/channels", "/message-templates"):
        assert (await world.get(path))["items"] == []
    for path in (f"/journeys/{journey_id}", f"/messages/{message['id']}"):
        assert (await world.client.get(f"/api/v1{path}")).status_code == 404
    for path in (f"/journeys/{journey_id}/archive", f"/journeys/{journey_id}/publish"):
        assert (await world.client.post(f"/api/v1{path}")).status_code == 404
