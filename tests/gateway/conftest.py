"""A gateway that the tests of a module share; each test finds its services as new."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from uuid import UUID

import httpx2
import pytest

from gateway.bootstrap import bootstrap
from gateway.main import create_app
from tests.gateway.support import SERVICES, FakeService, Platform, serving, settings
from tests.support.postgres import Database, DatabaseServer


@pytest.fixture(scope="module")
def gateway_database(postgres: DatabaseServer) -> Iterator[Database]:
    made = postgres.create("gateway")
    yield made
    postgres.drop(made)


@pytest.fixture(scope="module")
async def running_platform(gateway_database: Database) -> AsyncIterator[Platform]:
    made = await bootstrap(gateway_database.app_dsn, "Test")
    services = {name: FakeService() for name in SERVICES}
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(serving(service, lifespan=False))
            for name, service in services.items()
        }
        app = create_app(settings(gateway_database.app_dsn, urls))
        url = await stack.enter_async_context(serving(app))
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=url, trust_env=False))
        yield Platform(
            url=url,
            client=client,
            services=services,
            workspace_id=UUID(made["workspace_id"]),
            source_id=made["source_id"],
            write_key=made["write_key"],
            secret_key=made["secret_key"],
        )


@pytest.fixture
def platform(running_platform: Platform) -> Platform:
    for service in running_platform.services.values():
        service.reset()
    return running_platform
