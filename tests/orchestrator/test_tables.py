"""Tables: migrations make what the code declares, and workspaces cannot see each other."""

from uuid import uuid4

import asyncpg
import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.kit.migrate import upgrade
from services.orchestrator.channels import tables as channels
from services.orchestrator.devices import tables as devices
from services.orchestrator.engine import tables as engine
from services.orchestrator.experiments import tables as experiments
from services.orchestrator.holdouts import tables as holdouts
from services.orchestrator.inbox import tables as inbox
from services.orchestrator.journeys import tables as journeys
from services.orchestrator.journeys.graph import Graph
from services.orchestrator.journeys.nodes import Wait
from services.orchestrator.maps import tables as maps
from services.orchestrator.message_templates import tables as templates
from services.orchestrator.messages import tables as messages
from services.orchestrator.receipts import tables as receipts
from services.orchestrator.replay import tables as replay
from services.orchestrator.schedules import tables as schedules
from services.orchestrator.tables import Table
from services.orchestrator.tasks import tables as tasks
from tests.orchestrator.conftest import World
from tests.support.app import user_headers
from tests.support.postgres import Database, NewDatabase

pytestmark = pytest.mark.anyio

DECLARED = (
    channels,
    devices,
    engine,
    experiments,
    holdouts,
    inbox,
    journeys,
    maps,
    templates,
    messages,
    receipts,
    replay,
    schedules,
    tasks,
)
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


async def test_journeys_of_before_are_read_as_what_they_meant(database: NewDatabase) -> None:
    old = database("orchestrator", migrated=False)
    await upgrade("services.orchestrator", old.owner_dsn, "0004")
    channel, template = str(uuid4()), str(uuid4())
    wait: dict[str, object] = {"id": "wait", "type": "wait_event", "event": "Done"}
    wait |= {"match": {"a": "b"}, "timeout_seconds": 60, "on_event": "mail", "on_timeout": "end"}
    mail = {"id": "mail", "type": "email", "channel_id": channel, "template_id": template}
    nodes = [wait, {**mail, "next": "end"}, {"id": "end", "type": "exit"}]
    graph = {"name": "J", "entry": {"kind": "event", "event": "Seen", "next": "wait"}}
    before = msgspec.json.encode({**graph, "nodes": nodes}).decode()
    other = msgspec.json.encode({**graph, "nodes": nodes[2:]}).decode()
    made = create_async_engine(old.owner_dsn)
    async with made.begin() as connection:
        for draft in (before, other):
            await connection.execute(
                text(
                    "INSERT INTO journey (id, workspace_id, name, state, draft, draft_revision) "
                    "VALUES (gen_random_uuid(), gen_random_uuid(), 'J', 'draft', :draft, 1)"
                ),
                {"draft": draft},
            )
    await upgrade("services.orchestrator", old.owner_dsn)
    async with made.connect() as connection:
        rows = await connection.scalars(text("SELECT draft FROM journey"))
        found = {len(each["nodes"]): each for each in rows}
    await made.dispose()
    assert found[1] == msgspec.json.decode(other)
    assert [each["type"] for each in found[3]["nodes"]] == ["wait", "message", "exit"]
    read = Graph.model_validate(found[3])
    assert isinstance(read.nodes[0], Wait)
    [branch] = read.nodes[0].branches
    assert (branch.event, branch.match, branch.next) == ("Done", {"a": "b"}, "mail")
